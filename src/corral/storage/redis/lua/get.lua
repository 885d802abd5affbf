-- get.lua - these jobs, as far as a bounded reply goes.
--
-- Keys     <id> <id>:dependencies completed failed delayed prioritized waiting-children active; own: held schedules
-- Request  { queue, prefix, ids, lean? }
-- Reply    { row | false ... }, fewer than asked for when they are large; row = { id, state, due or -1, pending, { field, value ... } }
-- Events   none
-- BullMQ   its own containers and hashes; nothing is written
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/slot.lua
--! include lib/locate.lua
--! include lib/lean.lua

local BYTES = 4000000 -- after so many the caller asks again for the rest
local WORDS = { held = 'waiting', prioritized = 'waiting', grouped = 'waiting' }

-- Beside jobs there are other hashes under ids like `meta` or `repeat:x`: what is in no container must look like a job.
local function is_job(row)
  local name, timestamp = false, false
  local fields = row[5]
  for i = 1, #fields, 2 do
    if fields[i] == 'name' then name = true end
    if fields[i] == 'timestamp' then timestamp = true end
  end
  return name and timestamp
end

local function find(id)
  if call('EXISTS', queue.base .. id) == 0 then return nil, 0 end
  local where, score = locate(queue, id)
  if where == 'delayed' and is_slot(queue, id) then return nil, 0 end
  local row, size = (req.lean and lean or shown)(queue, id, WORDS[where] or where, where == 'delayed' and math.floor(score / 4096) or nil)
  if row and where == 'waiting' and not is_job(row) then return nil, 0 end
  return row, size
end

local rows, bytes = {}, 0
for i, id in ipairs(req.ids) do
  local row, size = find(id)
  rows[i] = row or false
  bytes = bytes + size
  if bytes > BYTES then break end
end
return reply(rows)

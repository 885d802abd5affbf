-- pack.lua - jobs with all that belongs to them, for another store: a stretch of one container, or these ids.
--
-- Keys     wait paused prioritized delayed active waiting-children completed failed repeat <id> <id>:* de:* dn:*
--          own: held schedules dedups
-- Request  { queue, prefix, state, run, pos, limit } | { queue, prefix, ids }   `run`: which of the containers of a state
-- Reply    { jobs = { { id, state, score, lines, parent, tied, stays, de, { kept back field,
--          value ... }, { field, value ... } } | false ... }, odd = { id ... },
--          pos, runs }   `pos` -1: the container has been read. `odd`: no job that could be carried. `de`: when its deduplication id
--          comes free, -1 for never, -2 when it has none
-- Events   none
-- BullMQ   reads its containers; what stands for the next run of a schedule or job scheduler is left out: the schedule brings it
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/place.lua
--! include lib/slot.lua
--! include lib/locate.lua
--! include lib/sources.lua

local BYTES = 1000000 -- after so many the slice ends
local GENERATIONS = 20 -- how far up a family is searched for a running job
local WORDS = { held = 'waiting', prioritized = 'waiting', grouped = 'waiting' }
local PENDING = { waiting = true, delayed = true, ['waiting-children'] = true }

local function family_runs(parent)
  for _ = 1, GENERATIONS do
    local q, id = split_key(parent)
    if not q then return false end
    if is_active(q, id) then return true end
    parent = redis.pcall('HGET', parent, 'parentKey')
    if type(parent) ~= 'string' then return false end
  end
  return false
end

local function find(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

local function size_of(key, command)
  local size = redis.pcall(command, key)
  return type(size) == 'number' and size or 0
end

local function owns(id, deid)
  if not deid then return -2 end
  local key = queue.base .. 'de:' .. deid
  if call('GET', key) ~= id then return -2 end
  local left, ends = call('PTTL', key), tonumber(call('ZSCORE', queue.dedups, deid) or nil)
  if left < 0 then return left end
  local over = now + left -- told twice it differs by a ms, what we noted does not; Node may have set another time since
  return ends and ends < over + 1000 and math.max(ends, now + 1) or over
end

-- The job, and about how many bytes it has; nil and whether it is odd.
local function pack(id, state, score)
  local key = queue.base .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err then return nil, true end
  if #fields == 0 or string.sub(id, 1, 2) == '0:' then return nil, false end -- nothing behind the id, or a marker of BullMQ 4
  local parent, deid, size = find(fields, 'parentKey'), find(fields, 'deid'), 0
  local owned = owns(id, deid)
  for i = 2, #fields, 2 do size = size + #fields[i] end
  local is_parent = size_of(key .. ':dependencies', 'SCARD') + size_of(key .. ':processed', 'HLEN')
    + size_of(key .. ':failed', 'HLEN') + size_of(key .. ':unsuccessful', 'ZCARD') > 0
  return { id, state, string.format('%.17g', score or 0), size_of(key .. ':logs', 'LLEN'), is_parent, parent ~= nil,
    parent ~= nil and PENDING[state] == true and family_runs(parent), owned,
    owned ~= -2 and call('HGETALL', queue.base .. 'dn:' .. deid) or {}, fields }, size
end

local jobs, odd, bytes = {}, {}, 0

local function pack_ids()
  for i, id in ipairs(req.ids) do
    local job
    if call('EXISTS', queue.base .. id) == 1 then
      local where, score = locate(queue, id)
      if not (PENDING[WORDS[where] or where] and is_pending_run(queue, id)) then job = pack(id, WORDS[where] or where, score) end
    end
    jobs[i] = job or false
  end
  return -1, 0
end

local function pack_run()
  local runs = SOURCES[req.state](queue)
  local run = runs[req.run]
  local entries = req.pos < run.size and run.read(req.pos, req.limit) or {}
  for i, entry in ipairs(entries) do
    local id = entry[1]
    local left_out = run.left_out and run.left_out(id) or PENDING[req.state] and is_pending_run(queue, id)
    if not left_out then
      local job, more = pack(id, req.state, entry[4] and entry[4] * 4096 or entry[2])
      if job then
        jobs[#jobs + 1] = job
        bytes = bytes + more
      elseif more then
        odd[#odd + 1] = id
      end
    end
    if bytes >= BYTES and i < #entries then return req.pos + i, #runs end
  end
  return #entries < req.limit and -1 or req.pos + #entries, #runs
end

local pos, runs
if req.ids then pos, runs = pack_ids() else pos, runs = pack_run() end
return reply({ jobs = jobs, odd = odd, pos = pos, runs = runs })

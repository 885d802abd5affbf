-- children.lua - how a job's children stand, a slice of each of its four keys at a time.
--
-- Keys     <id>:dependencies <id>:processed <id>:failed <id>:unsuccessful; failed and <child> in the queues of the children
-- Request  { queue, prefix, id, lean?, from? = { cursor, cursor, cursor, cursor } }
-- Reply    { pending = { key ... }, completed = { key, result ... }, failed = { key, reason ... }, from, more }   lean: a result is ''
-- Events   none
-- BullMQ   a failed child that nobody decides about stays in `dependencies`: its parent still waits. Here it is told as failed, unless
--          it had failed before it was this one's child
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua

local SLICE = 300
local key = queue.base .. req.id
local from = req.from or { '0', '0', '0', '0' }
local pending, completed, failed, more = {}, {}, {}, false

-- One step through one of the keys; 'end' stands for a key that has been read.
local function step(n, command, name)
  if from[n] == 'end' then return {} end
  local found = call(command, key .. name, from[n], 'COUNT', SLICE)
  from[n] = found[1] == '0' and 'end' or found[1]
  more = more or from[n] ~= 'end'
  return found[2]
end

local function reason_of(child)
  local reason = redis.pcall('HGET', child, 'failedReason')
  return type(reason) == 'string' and reason or ''
end

local function tell_failed(child, reason)
  failed[#failed + 1] = child
  failed[#failed + 1] = reason
end

for _, child in ipairs(step(1, 'SSCAN', ':dependencies')) do
  local q, id = split_key(child)
  local mark = q and call('ZSCORE', q.failed, id) and redis.pcall('HMGET', child, 'again', 'parentKey')
  if mark and not (mark[1] and mark[2] == key) then -- one that had failed before it became a child counts as pending
    tell_failed(child, reason_of(child))
  else
    pending[#pending + 1] = child
  end
end

-- With `lean` the names alone: of a hundred results of a megabyte HSCAN would copy each. Where there are so many that HKEYS takes long
-- (5,000: 1 ms) they are small: BullMQ keeps them in one hash.
local NAMES = 5000
if req.lean and from[2] == '0' and call('HLEN', key .. ':processed') <= NAMES then
  from[2] = 'end'
  for _, child in ipairs(call('HKEYS', key .. ':processed')) do
    completed[#completed + 1] = child
    completed[#completed + 1] = ''
  end
else
  completed = step(2, 'HSCAN', ':processed')
  if req.lean then
    for i = 2, #completed, 2 do completed[i] = '' end
  end
end
local known = step(3, 'HSCAN', ':failed')
for i = 1, #known, 2 do tell_failed(known[i], known[i + 1]) end
local unsuccessful = step(4, 'ZSCAN', ':unsuccessful')
for i = 1, #unsuccessful, 2 do tell_failed(unsuccessful[i], reason_of(unsuccessful[i])) end
return reply({ pending = pending, completed = completed, failed = failed, from = from, more = more })

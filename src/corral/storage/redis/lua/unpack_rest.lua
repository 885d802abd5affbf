-- unpack_rest.lua - what else comes from another store: lines of a log, marks of jobs, a queue's numbers.
--
-- Keys     <id> <id>:logs id metrics:completed metrics:failed; own: minutes state notes op; shared: queues
-- Request  { queue, prefix, log? = { id, first, lines }, marks? = { id, mark ... }, last_id?, completed?, failed?,
--          minutes? = { minute, sums ... }, replace?, note? = { key, value } }
-- Reply    true
-- Events   none
-- BullMQ   `last_id` raises its counter of ids, so that no number is given twice; `completed` and `failed` are added to its metrics
--! include lib/call.lua
--! include lib/keys.lua

local before = earlier()
if before then return before end

if req.log then
  local key = queue.base .. req.log.id
  if req.log.first then call('DEL', key .. ':logs') end
  if call('EXISTS', key) == 1 then
    local lines = req.log.lines
    for from = 1, #lines, 1000 do call('RPUSH', key .. ':logs', unpack(lines, from, math.min(from + 999, #lines))) end
  end
end

local marks = req.marks or {}
for i = 1, #marks, 2 do
  if call('EXISTS', queue.base .. marks[i]) == 1 then call('HSET', queue.base .. marks[i], 'moved', marks[i + 1]) end
end

if req.last_id then
  local last = whole(call('GET', queue.base .. 'id'))
  if req.last_id > last then call('SET', queue.base .. 'id', string.format('%.0f', req.last_id)) end
end

-- The minute that is under way must not seem to have had them all: its own count begins behind them.
local function add_total(state, more)
  if not more or more == 0 then return end
  local key = queue.base .. 'metrics:' .. state
  call('HINCRBY', key, 'count', string.format('%.0f', more))
  if call('HEXISTS', key, 'prevCount') == 1 then call('HINCRBY', key, 'prevCount', string.format('%.0f', more)) end
end
add_total('completed', req.completed)
add_total('failed', req.failed)

local minutes = req.minutes or {}
for i = 1, #minutes, 2 do
  call(req.replace and 'HSET' or 'HSETNX', queue.minutes, minutes[i], minutes[i + 1])
  local first = tonumber(call('HGET', queue.state, 'minute') or nil)
  if first and tonumber(minutes[i]) < first then call('HSET', queue.state, 'minute', minutes[i]) end
end

if req.note then
  call('SADD', 'corral:' .. req.prefix .. '::queues', req.queue)
  call('HSET', queue.notes, req.note[1], req.note[2])
  call('ZREM', queue.notes .. ':ends', req.note[1])
end
return reply(true)

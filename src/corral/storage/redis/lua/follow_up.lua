-- follow_up.lua - make the next jobs of Node's schedulers whose pending ones were claimed.
--
-- Keys     repeat repeat:<key> delayed wait prioritized pc marker events id <id>; own: op
-- Request  { queue, prefix, now?, runs = { { key, slot, next_at, at, opts, priority, data? } ... } }
--          `slot`: the one that was claimed; `at`: when; `data`: for repeatable jobs of old, whose definition has none
-- Reply    { key ... }   of which one was made
-- Events   added, then delayed | waiting; duplicated
-- BullMQ   the script by which its workers make the next iteration
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/insert.lua
--! include lib/finish.lua
--! include lib/cadence.lua

local before = earlier()
if before then return before end

local made, plain = {}, {}
for _, run in ipairs(req.runs) do
  local id = slot_id(run.key, run.next_at)
  local found = redis.pcall('HMGET', definition(queue, run.key), 'name', 'data')
  if slot_of(queue, run.key) == run.slot and found[1] then
    if call('EXISTS', queue.base .. id) == 1 then
      tell(queue, 'duplicated', 'jobId', id)
    else
      call('ZADD', queue['repeat'], run.next_at, run.key)
      call('HINCRBY', definition(queue, run.key), 'ic', 1)
      call('INCR', queue.base .. 'id')
      call('HSET', queue.base .. id, 'name', found[1], 'data', found[2] or run.data or '{}', 'opts', run.opts, 'timestamp', run.at,
        'delay', math.max(0, run.next_at - run.at), 'priority', run.priority, 'rjk', run.key)
      tell(queue, 'added', 'jobId', id, 'name', found[1])
      put_new(queue, id, { name = found[1], priority = run.priority > 0 and run.priority or nil }, run.next_at, plain)
      made[#made + 1] = run.key
    end
  end
end
flush(queue, plain)
conclude()
return reply(made)

-- obliterate.lua - delete a queue and everything in it, a slice at a time.
--
-- Keys     all of the queue, <id> <id>:*, de:* dn:*, repeat:*, keys of parents in other queues; all of its own; shared: queues
-- Request  { queue, prefix, force, go_on }
-- Reply    { active, more }   active jobs forbid it without `force`: nothing happened then; `more`: call again with `go_on`
-- Events   none; those of parents in other queues that waited for what was deleted
-- BullMQ   its obliterate; also `waiting-children` and `limiter` go, and `id` and the stream, empty, stay: an id must never mean two
--          things. The first call pauses the queue, so that nothing starts any more
--! flags allow-oom
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/discard.lua
--! include lib/own.lua

local SLICE_OF_ALL = 250 -- jobs deleted per call: 5 ms
local PLACES = { 'active', 'wait', 'paused', 'prioritized', 'delayed', 'children', 'completed', 'failed' }
local LISTS = { active = true, wait = true, paused = true }
local ENDS = { -- of no use to anybody without jobs
  'pc', 'marker', 'meta', 'stalled', 'stalled-check', 'limiter', 'delay', 'priority', 'added', 'metrics:completed',
  'metrics:completed:data', 'metrics:failed', 'metrics:failed:data',
}
local before = earlier()
if before then return before end
local active = call('LLEN', queue.active)
if not req.go_on and active > 0 and not req.force then return reply({ active = active, more = false }) end

local function pop_ids(place, count)
  if LISTS[place] then return call('LPOP', queue[place], count) or {} end
  local ids, found = {}, call('ZPOPMIN', queue[place], count)
  for i = 1, #found, 2 do ids[#ids + 1] = found[i] end
  return ids
end

-- A parent that goes too need not hear of its children.
local function stranger(parent)
  local q = parent and split_key(parent)
  return q and q ~= queue and parent or nil
end

local function delete(place, id)
  local job = redis.pcall('HMGET', queue.base .. id, 'parentKey', 'deid', 'then')
  if job.err then return end -- an id that is no job's: what is there is deleted with the rest, or is not the queue's
  if place == 'delayed' then release_hold(queue, id) end
  discard(queue, { id = id, state = place, parent = stranger(job[1]), deid = job[2] or nil, followed = job[3], but = req.queue })
end

local function delete_jobs(left)
  for _, place in ipairs(PLACES) do
    if left == 0 then return 0 end
    local ids = pop_ids(place, left)
    for _, id in ipairs(ids) do delete(place, id) end
    left = left - #ids
  end
  return left
end

local function delete_schedulers(left)
  if left == 0 then return 0 end
  local ids = pop_ids('repeat', left)
  for _, id in ipairs(ids) do call('DEL', queue.base .. 'repeat:' .. id) end
  return left - #ids
end

local function delete_rest()
  for _, name in ipairs(ENDS) do call('UNLINK', queue.base .. name) end
  forget_queue(queue, req.queue)
  if call('EXISTS', queue.events) == 1 then call('XTRIM', queue.events, 'MAXLEN', 0) end
end

if not req.go_on then
  call('HSET', queue.base .. 'meta', 'paused', 1)
  call('DEL', queue.marker)
end
local left = delete_schedulers(delete_jobs(SLICE_OF_ALL))
if left > 0 then delete_rest() end
conclude()
return reply({ active = 0, more = left == 0 })

-- drop_schedules.lua - delete schedules, Node's too; jobs they have made stay.
--
-- Keys     repeat repeat:<key> delayed <id>; own: schedules op
-- Request  { queue, prefix, now?, keys = { key ... } }
-- Reply    { key ... }   those that were there
-- Events   removed, for the pending job of a scheduler that Node made
-- BullMQ   its removal of job schedulers
--! flags allow-oom
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/cadence.lua
--! include lib/arming.lua

local before = earlier()
if before then return before end

local function drop(key)
  local s, at = stored(queue, key), slot_of(queue, key)
  if at then
    local found = withdraw(queue, key, at)
    if found == 'free' and not s then tell(queue, 'removed', 'jobId', slot_id(key, at), 'prev', 'delayed') end
    call('ZREM', queue['repeat'], key)
    call('DEL', definition(queue, key))
  end
  local own = forget(queue, key)
  return at or (own and not (s and s.next_at and not s.paused))
end

local dropped = {}
for _, key in ipairs(req.keys) do
  if drop(key) then dropped[#dropped + 1] = key end
end
conclude()
return reply(dropped)

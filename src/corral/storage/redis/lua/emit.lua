-- emit.lua - events that are not tied to a transition.
--
-- Keys     events meta of every queue named; shared: queues
-- Request  { prefix, events = { { queue, { field, value ... } } ... } }   the fields as they stand in the stream
-- Reply    true
-- Events   those
-- BullMQ   the same stream; its own readers see them under its own names
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua

local before = earlier()
if before then return before end
for _, event in ipairs(req.events) do
  local q = queue_named(event[1])
  if not rawget(q, 'told') then call('SADD', 'corral:' .. req.prefix .. '::queues', event[1]) end
  q.told = true
  call('XADD', q.events, '*', unpack(event[2]))
end
trim_events()
return reply(true)

-- retry.lua - finished jobs run again, from the end of their rank.
--
-- Keys     completed failed wait prioritized pc events marker <id>, dependencies processed failed unsuccessful of parents
--          own: op
-- Request  { queue, prefix, now?, states = { state ... }, ids = { id ... } | limit, name?, older?, beyond?, step?, skip?, reset }
--          `reset`: attempts count from 0
-- Reply    { ids = { id ... }, step?, skip?, left? }      (lib/select.lua)
-- Events   waiting
-- BullMQ   its retry; but the reason of the failure stays readable
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/slot.lua
--! include lib/select.lua

return each_meant(function(job, key)
  call('HDEL', key, 'finishedOn', 'processedOn', 'returnvalue', 'stc', 'exp', 'cancel', 'defa', 'cont')
  if req.reset then call('HDEL', key, 'atm', 'attemptsMade') end
  call('HSET', key, 'delay', 0, 'rdy', now_text)
  put_ready(queue, job.id, job.priority, false)
  tell(queue, 'waiting', 'jobId', job.id, 'prev', job.state, 'name', job.name)
  if job.parent then tell_parent(queue, child_retried, job.parent, key) end
end)

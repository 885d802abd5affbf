-- promote.lua - delayed jobs run now, from the end of their rank.
--
-- Keys     delayed wait prioritized pc events marker <id>; own: held schedules op
-- Request  { queue, prefix, now?, states = { state ... }, ids = { id ... } | limit, name?, older?, beyond?, step?, skip?, promoting }
-- Reply    { ids = { id ... }, step?, skip?, left? }      (lib/select.lua)
-- Events   waiting
-- BullMQ   its promote, for many jobs at once, each by its priority
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
  call('HSET', key, 'delay', 0, 'rdy', now_text)
  put_ready(queue, job.id, job.priority, false, job.gid)
  tell(queue, 'waiting', 'jobId', job.id, 'prev', 'delayed', 'name', job.name)
end)

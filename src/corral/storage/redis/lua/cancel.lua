-- cancel.lua - fail pending jobs; ask the workers of active ones to stop them.
--
-- Keys     places of pending jobs, active, failed, <id>, de:* dn:*, keys of parents, events marker metrics:failed; own: held,
--          those of groups, op
-- Request  { queue, prefix, now?, states = { state ... }, ids = { id ... } | limit, name?, older?, beyond?, step?, skip?, reason, text }
-- Reply    { ids = { id ... }, step?, skip?, left?, again }      (lib/select.lua)
-- Events   cancelled; failed of pending ones, and what follows from that for parents
-- BullMQ   has no such verb: the jobs fail as any others; a Node worker does not hear of it
--! flags allow-oom
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
  tell(queue, 'cancelled', 'jobId', job.id, 'reason', req.text, 'name', job.name)
  if job.state == 'active' then
    call('HSET', key, 'cancel', req.reason)
  else
    fail_stored(queue, job.id, req.text, job.state)
  end
end)

-- remove.lua - delete jobs and all that belongs to them; active ones are spared.
--
-- Keys     all places of jobs, <id> <id>:*, de:* dn:*, <parent>:dependencies <parent>:failed, events marker; own: held, those of
--          groups, op
-- Request  { queue, prefix, now?, states = { state ... }, ids = { id ... } | limit, name?, older?, beyond?, step?, skip? }
-- Reply    { ids = { id ... }, step?, skip?, left?, again }      (lib/select.lua)
-- Events   removed; waiting of parents that waited for nothing else
-- BullMQ   its remove and clean; children stay, and a parent that they leave is placed by its priority
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
--! include lib/discard.lua

local WORDS = { urgent = 'prioritized', later = 'prioritized', held = 'delayed', children = 'waiting-children',
  grouped = 'waiting-children' }

return each_meant(function(job)
  discard(queue, job)
  tell(queue, 'removed', 'jobId', job.id, 'prev', WORDS[job.place] or job.place, 'name', job.name)
  if job.state == 'waiting' and job.place ~= 'held' then unhold(queue, job.name) end
end)

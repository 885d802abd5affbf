-- lib/discard.lua - deleting a job that is in no container any more, with all that belongs to it.

-- Whoever waits for this one waits no longer; what failed stays known to its parent.
local function leave_parent(q, job)
  if job.state == 'completed' then return end
  local found = job.state == 'failed' and call('HMGET', q.base .. job.id, 'failedReason', 'again') or {}
  -- What had failed before it got this parent was waited for as if it had not.
  tell_parent(q, child_removed, job.parent, q.base .. job.id, not found[2] and found[1] or nil)
end

local function discard(q, job)
  if job.parent then leave_parent(q, job) end
  if job.followed then
    local reason = job.state == 'failed' and call('HGET', q.base .. job.id, 'failedReason') or nil
    tell_after(q, job.id, 'removed', reason, job.but)
  end
  if job.deid and redis.pcall('GET', q.base .. 'de:' .. job.deid) == job.id then
    call('DEL', q.base .. 'de:' .. job.deid, q.base .. 'dn:' .. job.deid)
  end
  delete_keys(q, job.id)
  call('DEL', q.base .. job.id .. ':lock')
end

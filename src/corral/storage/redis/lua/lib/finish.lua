-- lib/finish.lua - how jobs end: completed or failed, kept or not.
--! include lib/keep.lua

-- The owner of a deduplication id has ended: the next one may come. With a running time-out the id stays taken.
local function release_deduplication(q, id, deid)
  --! include lib/kept_back.lua
  local key = q.base .. 'de:' .. deid
  local owner = call('GET', key)
  if owner and owner ~= id then return end -- it ran once more; the id is another one's by now
  if owner and call('PTTL', key) == -1 then call('DEL', key) end
  add_kept_back(q, deid)
end

tell_removed = function(q, id)
  local job = redis.pcall('HMGET', q.base .. id, 'parentKey', 'failedReason', 'then', 'again')
  if job[1] then tell_parent(q, child_removed, job[1], q.base .. id, not job[4] and (job[2] or '') or nil) end
  if job[3] then tell_after(q, id, 'removed', job[2] or '') end
end

local spreading -- failures that are still to be told, while some are

-- Tell those that wait for a failed job. What fails of it tells its own afterwards, not within: a chain may be longer than calls can
-- be nested (200).
local function spread_failure(failure)
  if spreading then
    spreading[#spreading + 1] = failure
    return
  end
  spreading = { failure }
  local n = 1
  while spreading[n] do
    local f = spreading[n]
    if f.parent then tell_parent(f.q, child_failed, f.parent, policy_of(f.reference), f.q.base .. f.id, f.id, f.reason) end
    if f.followed then tell_after(f.q, f.id, 'failed', f.reason) end
    n = n + 1
  end
  spreading = nil
end

-- Fail a job that is in no container any more. Its own events come first; `prev` is where it was.
fail_stored = function(q, id, reason, prev)
  local key = q.base .. id
  local job = call('HMGET', key, 'name', 'parentKey', 'parent', 'deid', 'then')
  call('HSET', key, 'failedReason', reason, 'finishedOn', now_text)
  call('HDEL', key, 'defa', 'mild', 'exp', 'cancel', 'hold')
  call('ZADD', q.base .. 'failed', finish_score(q, 'failed'), id)
  tell(q, 'failed', 'jobId', id, 'failedReason', reason, 'prev', prev, 'name', job[1] or '')
  tally(q).failed = tally(q).failed + 1
  if job[4] then release_deduplication(q, id, job[4]) end
  if job[2] or job[5] then spread_failure({ q = q, id = id, reason = reason, parent = job[2], reference = job[3], followed = job[5] }) end
  unhold(q, job[1])
end


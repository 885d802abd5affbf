-- retry.lua - finished jobs run again, from the end of their rank.
--
-- Keys     completed failed wait prioritized pc events marker <id>, dependencies processed failed unsuccessful of parents
--          own: op
-- Request  { queue, prefix, now?, states = { state ... }, ids = { id ... } | limit, name?, older?, beyond?, step?, skip?, reset,
--          after?, every?, index? }   `reset`: attempts count from 0; the n-th job is due after `after` + n * `every` ms, from `index` on
-- Reply    { ids = { id ... }, step?, skip?, left? }      (lib/select.lua)
-- Events   waiting | delayed | waiting-children
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

local index = req.index or 0 -- of the first job of this call among all of them

-- Whether one of its children is to end still. One that has failed, and that nobody retried, is spent: it counts as done from
-- now on, or the job would wait for it when all others have ended.
local function waits_again(key)
  local left = call('SCARD', key .. ':dependencies')
  if left == 0 then return false end
  for _, child in ipairs(call('SMEMBERS', key .. ':dependencies')) do
    local q, id = split_key(child)
    local failed = q and call('ZSCORE', q.failed, id)
    if failed or not q or call('EXISTS', child) == 0 then
      call('SREM', key .. ':dependencies', child)
      if failed then call('HSET', key .. ':failed', child, call('HGET', child, 'failedReason') or '') end
      left = left - 1
    end
  end
  return left > 0
end

-- Those that wait for any of these wait for it again, before anybody asks whether they have somebody to wait for.
local function tell_waiting(job, key)
  if job.parent then tell_parent(queue, child_retried, job.parent, key) end
  if job.followed then tell_after(queue, job.id, 'retried') end
end

return each_meant(function(job, key)
  call('HDEL', key, 'finishedOn', 'processedOn', 'returnvalue', 'stc', 'exp', 'cancel', 'defa', 'mild', 'cont', 'again')
  if req.reset then call('HDEL', key, 'atm', 'attemptsMade') end
  local due = now + (req.after or 0) + index * (req.every or 0)
  index = index + 1
  if waits_again(key) then
    call('HSET', key, 'delay', math.max(0, due - now))
    call('ZADD', queue.children, now_text, job.id)
    tell(queue, 'waiting-children', 'jobId', job.id, 'prev', job.state, 'name', job.name)
  elseif due > now then
    local text = string.format('%.0f', due)
    call('HSET', key, 'delay', due - now, 'rdy', text)
    put_delayed(queue, job.id, due)
    tell(queue, 'delayed', 'jobId', job.id, 'delay', text, 'prev', job.state, 'name', job.name)
  else
    call('HSET', key, 'delay', 0, 'rdy', now_text)
    put_ready(queue, job.id, job.priority, false, job.gid)
    tell(queue, 'waiting', 'jobId', job.id, 'prev', job.state, 'name', job.name)
  end
end, tell_waiting)

-- update.lua - change single jobs; a patch whose token is stale, or whose job is gone, changes nothing.
--
-- Keys     <id> <id>:lock, wait paused prioritized delayed pc events marker; own: held leases op, those of groups
-- Request  { queue, prefix, now?, patches = { { id, token?, data?, priority?, delay?, progress?, detach? } ... } }   delay in ms from now;
--          `detach`: it has no parent from then on
-- Reply    { ids = { id ... }, left? }   `left`: so many patches at the end were not looked at, send them again
-- Events   delayed (with a new delay), progress; waiting of a parent that waited for nothing else
-- BullMQ   its updateData, updateProgress, changePriority, changeDelay and removeChildDependency; jobs go behind all others
--          of their new priority
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/slot.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/select.lua

local before = earlier()
if before then return before end

local WAITING = { waiting = true }

-- Put a waiting job at the end of its new rank; answers whether `wait` had to be searched for it.
local function change_priority(q, id, key, priority, gid, name)
  call('HSET', key, 'priority', priority)
  local turn = gid and call('ZSCORE', q.ring, gid)
  local state, _, in_list = take_one(q, id, WAITING)
  if state then
    call('HDEL', key, 'hold')
    put_ready(q, id, priority, false, gid)
    -- It may have come back for room that its name has: now another one that is set aside stands before it.
    if call('EXISTS', q.held .. ':' .. (name or '')) == 1 then unhold_one(q, name or '') end
    -- Its only job was away for a moment: that does not cost the group its turn.
    if turn then call('ZADD', q.ring, 'XX', turn, gid) end
  end
  return in_list
end

local function change_delay(q, id, key, delay, name)
  if not call('ZSCORE', q.delayed, id) or call('ZSCORE', q.held, id) or is_pending_run(q, id) then return end
  local due = string.format('%.0f', now + delay)
  call('ZREM', q.delayed, id)
  call('HSET', key, 'delay', delay, 'rdy', due)
  put_delayed(q, id, now + delay)
  tell(q, 'delayed', 'jobId', id, 'delay', due, 'name', name)
end

local function patch(q, one, job)
  local key = q.base .. one.id
  local in_list = false
  if one.data then call('HSET', key, 'data', one.data) end
  if one.priority then in_list = change_priority(q, one.id, key, one.priority, job.gid, job.name) end
  if one.delay then change_delay(q, one.id, key, one.delay, job.name) end
  if one.detach then
    call('HDEL', key, 'parentKey', 'parent', 'again')
    if job.parent then tell_parent(q, child_removed, job.parent, key) end
  end
  if one.progress then
    call('HSET', key, 'progress', one.progress)
    tell(q, 'progress', 'jobId', one.id, 'data', one.progress, 'name', job.name)
  end
  return in_list
end

local ids, left, searched = {}, nil, 0
for i, one in ipairs(req.patches) do
  if i > ACT or searched > SEARCH then
    left = #req.patches - i + 1
    break
  end
  local job = look_at(queue, one.id)
  if job and job.timestamp and (not one.token or call('GET', queue.base .. one.id .. ':lock') == one.token) then
    if patch(queue, one, job) then searched = searched + call('LLEN', queue.wait) end
    ids[#ids + 1] = one.id
  end
end
conclude()
return reply({ ids = ids, left = left })

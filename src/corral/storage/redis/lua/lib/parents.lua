-- lib/parents.lua - what a child's end means for the job that waits for it. BullMQ's keys: `dependencies` (not ended, or failed
-- with nobody to decide), `processed` (results), `failed` (failures that count as done), `unsuccessful` (failures that count).
--! scope
--! include lib/release.lua

local fail_stored -- lib/finish.lua
local LONG = 1000 -- a reason so long is handed on as it is: a chain of thousands must not tell all of them

-- Something else stands in the place of a job's keys: the job is set apart, and the queue goes on.
local function set_apart(q, id) call('SADD', q.quarantine, id) end

-- Tell a parent something. What is wrong with its keys must not hold up the child's verdict, nor those beside it.
local function tell_parent(q, tell_it, parent, ...)
  if not pcall(tell_it, parent, ...) then set_apart(q, parent) end
end

local function child_completed(parent, child, result)
  local q, id = split_key(parent)
  if q and call('SREM', parent .. ':dependencies', child) == 1 then
    call('HSET', parent .. ':processed', child, result)
    one_less(q, id)
  end
end

local function policy_of(text)
  local ok, parent = pcall(cjson.decode, text or '')
  return ok and type(parent) == 'table' and parent or {}
end

-- Apply a failed child's policy.
local function child_failed(parent, policy, child, child_id, reason)
  local q, id = split_key(parent)
  if not q or not (policy.fpof or policy.cpof or policy.idof or policy.rdof) then return end
  if call('SREM', parent .. ':dependencies', child) == 0 then return end
  if policy.fpof then
    call('ZADD', parent .. ':unsuccessful', now, child)
    local text = #reason > LONG and reason or 'child ' .. child_id .. ' failed: ' .. reason
    if unpark(q, id) then
      fail_stored(q, id, text, 'waiting-children')
    elseif call('EXISTS', parent) == 1 and not call('ZSCORE', q.base .. 'failed', id) then
      call('HSET', parent, 'defa', text, 'mild', 1) -- it fails when it parks, and not when it is claimed
    end
  elseif policy.cpof then
    call('HSET', parent .. ':failed', child, reason)
    if unpark(q, id) then
      place_parent(q, id)
    elseif call('EXISTS', parent) == 1 then
      call('HSET', parent, 'cont', 1) -- it runs: it does not wait when it parks
    end
  else
    if policy.idof then call('HSET', parent .. ':failed', child, reason) end
    one_less(q, id)
  end
end

-- A child was deleted: its parent no longer waits for it. That it had failed, and why, stays readable.
local function child_removed(parent, child, reason)
  local q, id = split_key(parent)
  if q and call('SREM', parent .. ':dependencies', child) == 1 then
    if reason then call('HSET', parent .. ':failed', child, reason) end
    one_less(q, id)
  end
end

-- A finished child runs again: its parent waits for it again.
local function child_retried(parent, child)
  if call('EXISTS', parent) == 0 then return end
  local moved = call('HDEL', parent .. ':processed', child) + call('HDEL', parent .. ':failed', child)
    + call('ZREM', parent .. ':unsuccessful', child)
  if moved == 0 then return end
  call('SADD', parent .. ':dependencies', child)
  call('HSET', parent, 'dep', 1)
end

-- Tell the jobs that come after this one, in the order they were added, as parents are told. `how`: completed (`value` is the
-- result), failed (the reason), removed (the reason, if it had failed), retried; nil: whatever became of it, if anything did. Those of
-- the queue `but` need not hear of it.
local function tell_after(q, id, how, value, but)
  if not how and call('ZSCORE', q.completed, id) then
    how, value = 'completed', call('HGET', q.base .. id, 'returnvalue') or 'null'
  elseif not how and call('ZSCORE', q.failed, id) then
    how, value = 'failed', call('HGET', q.base .. id, 'failedReason') or ''
  elseif not how then
    if call('EXISTS', q.base .. id) == 1 then return end
    how = 'removed'
  end
  local flags = { [0] = {}, { fpof = true }, { cpof = true }, { idof = true }, { rdof = true } } -- lib/edges.lua has the order
  local key, own = q.base .. id, q.own .. 'then:' .. id
  local open = how == 'retried'
  local all = call('ZRANGE', own, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local name, other = string.match(all[i], '^([^:]*):(.+)$')
    local policy = tonumber(all[i + 1]) % 8
    local parent = queue_named(name).base .. other
    if how == 'completed' then
      tell_parent(q, child_completed, parent, key, value)
    elseif how == 'failed' then
      tell_parent(q, child_failed, parent, flags[policy], key, id, value)
      open = open or policy == 0
    elseif how == 'retried' then
      tell_parent(q, child_retried, parent, key)
    elseif name ~= but then
      tell_parent(q, child_removed, parent, key, value)
    end
  end
  call(open and 'SADD' or 'SREM', q.edges, id)
  if how == 'removed' then
    call('DEL', own)
    call('SREM', q.own .. 'followed', id)
  end
end

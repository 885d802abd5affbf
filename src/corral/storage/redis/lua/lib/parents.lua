-- lib/parents.lua - what a child's end means for the job that waits for it. BullMQ's keys: `dependencies` (not ended, or failed
-- with nobody to decide), `processed` (results), `failed` (failures that count as done), `unsuccessful` (failures that count).
--! include lib/release.lua

local fail_stored -- lib/finish.lua

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

-- Apply a failed child's policy. `reference` is the JSON text of its `parent` field.
local function child_failed(parent, reference, child, child_id, reason)
  local q, id = split_key(parent)
  local policy = policy_of(reference)
  if not q or not (policy.fpof or policy.cpof or policy.idof or policy.rdof) then return end
  if call('SREM', parent .. ':dependencies', child) == 0 then return end
  if policy.fpof then
    call('ZADD', parent .. ':unsuccessful', now, child)
    local text = 'child ' .. child_id .. ' failed: ' .. reason
    if call('ZREM', q.children, id) == 1 then
      fail_stored(q, id, text, 'waiting-children')
    elseif call('EXISTS', parent) == 1 and not call('ZSCORE', q.base .. 'failed', id) then
      call('HSET', parent, 'defa', text)
    end
  elseif policy.cpof then
    call('HSET', parent .. ':failed', child, reason)
    if call('ZREM', q.children, id) == 1 then
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
  if moved > 0 then call('SADD', parent .. ':dependencies', child) end
end

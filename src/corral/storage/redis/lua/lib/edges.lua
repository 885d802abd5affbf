-- lib/edges.lua - jobs that come after others, and jobs that are given a parent once they are there.
--
-- Whoever comes after a job is its parent in BullMQ's eyes: the job stands among its `dependencies`. As a job has one `parentKey`, the
-- others stand in the job's own `then:<id>`; `followed` has all jobs with such a key, `edges` those of them that somebody waits for.

local PLACES_OF = { wait = 0, fail = 1, continue = 2, ignore = 3, remove = 4 }
local GENERATIONS = 20 -- how far up a family is searched
local stands_for = {} -- key of a new job that was kept out -> that of the job that is there in its stead

-- The first job that one of these comes after and that is not there; nil when all are.
missing_after = function(group)
  local coming = {}
  for _, job in ipairs(group) do
    for _, edge in ipairs(job.after or {}) do
      local key = queue_named(edge.queue).base .. edge.id
      if not coming[key] and redis.pcall('HEXISTS', key, 'timestamp') ~= 1 then
        return { missing = { queue = edge.queue, id = edge.id } }
      end
    end
    if job.id then coming[queue_named(job.queue).base .. job.id] = true end
  end
  return nil
end

-- Note that a job comes after another one, in the order in which they were told.
local function follow(q, id, name, follower, policy, open)
  local own, member = q.own .. 'then:' .. id, name .. ':' .. follower
  call('ZADD', own, call('ZCARD', own) * 8 + PLACES_OF[policy], member)
  call('HSET', q.base .. id, 'then', 1)
  call('SADD', q.own .. 'followed', id)
  if open then call('SADD', q.edges, id) end
end

-- A job that comes after one that has failed already; answers why it fails, and whether it need not wait for the others.
local function after_failed(key, child, child_id, policy, reason)
  if policy == 'fail' then
    call('ZADD', key .. ':unsuccessful', now, child)
    return 'child ' .. child_id .. ' failed: ' .. reason, false
  elseif policy == 'continue' or policy == 'ignore' then
    call('HSET', key .. ':failed', child, reason)
  elseif policy == 'wait' then
    call('SADD', key .. ':dependencies', child)
  end
  return nil, policy == 'continue'
end

-- Tie a new job to those it comes after; answers whether it has to wait for one, and why it fails at once.
local function tie_after(key, job, id)
  local waits, go, fatal = false, false, nil
  for _, edge in ipairs(job.after) do
    local child = queue_named(edge.queue).base .. edge.id
    child = stands_for[child] or child
    local q, child_id = split_key(child)
    local open = false
    if call('EXISTS', child) == 0 then -- it went meanwhile: it is not waited for
      child = nil
    elseif call('ZSCORE', q.completed, child_id) then
      call('HSET', key .. ':processed', child, call('HGET', child, 'returnvalue') or 'null')
    elseif call('ZSCORE', q.failed, child_id) then
      local text, released = after_failed(key, child, child_id, edge.policy, call('HGET', child, 'failedReason') or '')
      fatal, go, open = fatal or text, go or released, edge.policy == 'wait'
    else
      call('SADD', key .. ':dependencies', child)
      open = true
    end
    waits = waits or open
    if child then follow(q, child_id, job.queue, id, edge.policy, open) end
  end
  -- It goes although some have not ended: by this field claims know to count those.
  if waits and go then call('HSET', key, 'rdy', now_text) end
  return waits and not go, fatal, go
end

-- What only some jobs bring; answers why the job fails at once.
insert_more = function(q, id, key, job)
  if job.dedup then call('HSET', key, 'deid', job.dedup.id) end
  if job.group then
    call('HSET', key, 'gid', job.group)
    if job.rates then grouping().set_rates(q, job.group, job.rates) end
  end
  if not job.after then return nil end
  local waits, fatal, go = tie_after(key, job, id)
  job.children = not go and (job.children or waits) or nil
  return fatal
end

fail_new = function(q, id, reason) fail_stored(q, id, reason, 'waiting-children') end

-- Whether a job is below another one, or that one itself.
local function is_below(key, other)
  for _ = 1, GENERATIONS do
    if key == other then return true end
    key = redis.pcall('HGET', key, 'parentKey')
    if type(key) ~= 'string' then return false end
  end
  return false
end

-- Give a job that is there to a parent, unless it has another one. One that has completed hands over its result at once.
attach_again = function(q, id, key, parent)
  local home = queue_named(parent.queue)
  local wanted = home.base .. parent.id
  local present = call('HMGET', key, 'parentKey', 'returnvalue')
  if present[1] and (present[1] == wanted or call('EXISTS', present[1]) == 1) then return end
  if call('EXISTS', wanted) == 0 or is_below(wanted, key) then return end
  if call('ZSCORE', q.completed, id) then
    call('HSET', wanted .. ':processed', key, present[2] or 'null')
  else
    call('SADD', wanted .. ':dependencies', key)
    call('HSET', wanted, 'dep', 1)
    if call('ZSCORE', q.failed, id) then call('HSET', key, 'again', 1) end -- it failed before: its parent waits for its retry
  end
  call('HSET', key, 'parentKey', wanted, 'parent', parent.json)
end

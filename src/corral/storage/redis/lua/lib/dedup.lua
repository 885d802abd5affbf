-- lib/dedup.lua - deduplication as BullMQ has it: `de:<id>` names the owner, `dn:<id>` is the job kept back while it runs.
--
-- `dedups` has the ids with an end, ms: to delete them with the queue, and when a test says what time it is (the server's own clock
-- would end the keys when it likes).

local UNENDING_MS = 86400000

-- Make a job the owner of an id, with `ttl` for so long only.
local function take_id(q, deid, id, ttl)
  local key = q.base .. 'de:' .. deid
  call('ZREM', q.dedups, deid)
  if not ttl then return call('SET', key, id) end
  call('SET', key, id, 'PX', given and UNENDING_MS or ttl)
  for _, over in ipairs(call('ZRANGEBYSCORE', q.dedups, '-inf', now_text, 'LIMIT', 0, 100)) do
    if given then call('DEL', q.base .. 'de:' .. over) end
    call('ZREM', q.dedups, over)
  end
  call('ZADD', q.dedups, string.format('%.0f', now + ttl), deid)
end

-- Who owns an id; one that is gone, and would own it for ever, makes room.
local function owner_of(q, deid)
  local key = q.base .. 'de:' .. deid
  local owner = call('GET', key)
  if not owner then return nil end
  local ends = given and tonumber(call('ZSCORE', q.dedups, deid) or nil)
  if ends and ends <= now then return nil end
  if call('PTTL', key) ~= -1 or call('EXISTS', q.base .. owner) == 1 then return owner end
  call('DEL', key, q.base .. 'dn:' .. deid)
  return nil
end

-- Note the job that is to be added when the owner has ended. What BullMQ has no word for is in `corral`.
local function keep_back(q, job, id, deid)
  local kept, more = q.base .. 'dn:' .. deid, {}
  for _, name in ipairs({ 'at', 'lifespan', 'group', 'schedule', 'slot', 'after' }) do more[name] = job[name] end
  call('DEL', kept)
  call('HSET', kept, 'name', job.name, 'data', job.data, 'opts', job.opts, 'jid', id)
  if job.parent then call('HSET', kept, 'pk', queue_named(job.parent.queue).base .. job.parent.id, 'pd', job.parent.json) end
  if next(more) then call('HSET', kept, 'corral', cjson.encode(more)) end
  call('PERSIST', q.base .. 'de:' .. deid)
  call('ZREM', q.dedups, deid)
end

-- Whether the newest job is to follow the owner: while that runs, and while another one is kept back for its end (it may have gone
-- back to wait: BullMQ keeps the older one then).
local function keeps_back(q, deid, owner)
  return call('ZSCORE', q.leases, owner) or call('EXISTS', q.base .. 'dn:' .. deid) == 1 or call('LPOS', q.active, owner)
end

-- A delayed owner gives way; false when it is not delayed, or only set aside.
local function remove_delayed(q, owner)
  if call('ZSCORE', q.held, owner) or call('ZREM', q.delayed, owner) == 0 then return false end
  local job = redis.pcall('HMGET', q.base .. owner, 'parentKey', 'name', 'then')
  discard(q, { id = owner, state = 'delayed', parent = job[1] or nil, followed = job[3] or nil })
  tell(q, 'removed', 'jobId', owner, 'prev', 'delayed', 'name', job[2] or '')
  return true
end

local function replace_owner(q, job, owner, id)
  local d = job.dedup
  local key = q.base .. 'de:' .. d.id
  if not remove_delayed(q, owner) then return owner end
  tell(q, 'deduplicated', 'jobId', id, 'deduplicationId', d.id, 'deduplicatedJobId', owner, 'kept', owner, 'name', job.name)
  call('DEL', q.base .. 'dn:' .. d.id)
  if d.extend and d.ttl then
    take_id(q, d.id, id, d.ttl)
  else
    call('SET', key, id, 'KEEPTTL')
  end
  return nil
end

-- A delayed owner moves to when the newcomer would have run.
local function reschedule(q, owner, due)
  if call('ZSCORE', q.held, owner) or call('ZREM', q.delayed, owner) == 0 then return end
  local text = string.format('%.0f', due)
  call('HSET', q.base .. owner, 'delay', string.format('%.0f', math.max(0, due - now)), 'rdy', text)
  put_delayed(q, owner, due)
  tell(q, 'delayed', 'jobId', owner, 'delay', text, 'name', call('HGET', q.base .. owner, 'name') or '')
end

local function owner_that_stays(q, job, id, due)
  local d = job.dedup
  local owner = owner_of(q, d.id)
  if not owner then
    call('DEL', q.base .. 'dn:' .. d.id) -- of an owner whose time is over
    take_id(q, d.id, id, not d.keep and d.ttl or nil)
    return nil
  end
  if d.keep and keeps_back(q, d.id, owner) then
    keep_back(q, job, id, d.id)
  elseif d.replace then
    return replace_owner(q, job, owner, id)
  elseif d.extend and d.ttl then
    take_id(q, d.id, owner, d.ttl)
  end
  tell(q, 'deduplicated', 'jobId', owner, 'deduplicationId', d.id, 'deduplicatedJobId', id,
    'kept', job.id or '', 'name', call('HGET', q.base .. owner, 'name') or '')
  if d.reschedule then reschedule(q, owner, due) end
  return owner
end

-- Whether another job keeps this new one out: answers that one's id, or nil when the new one is added and owns the id.
keep_out = function(q, job, id, due)
  local owner = owner_that_stays(q, job, id, due)
  if owner and not stands_for[q.base .. id] then stands_for[q.base .. id] = q.base .. owner end
  return owner
end

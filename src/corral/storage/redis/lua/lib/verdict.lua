-- lib/verdict.lua - what becomes of runs that ended.

-- Of a run that completed, and what the others need beside it.
local FIELDS = { 'name', 'atm', 'parentKey', 'deid', 'processedOn', 'rdy', 'timestamp' }
local MORE = { 'priority', 'parent', 'cancel' }
local TRACES = 10 -- newest tracebacks kept with a job

local function look(q, id)
  local f = call('HMGET', q.base .. id, unpack(FIELDS))
  return { id = id, name = f[1] or '', atm = f[2] or nil, parentKey = f[3] or nil, deid = f[4] or nil, processedOn = f[5] or nil,
    rdy = f[6] or nil, timestamp = f[7] or nil }
end

local function look_closer(q, job)
  local f = call('HMGET', q.base .. job.id, unpack(MORE))
  job.priority, job.parent, job.cancel = tonumber(f[1] or nil) or 0, f[2] or nil, f[3] or nil
  return job
end

local function add_trace(q, id, trace)
  local stored = call('HGET', q.base .. id, 'stacktrace')
  local ok, traces = pcall(cjson.decode, stored or '')
  if not ok or type(traces) ~= 'table' then traces = {} end
  traces[#traces + 1] = trace
  while #traces > TRACES do table.remove(traces, 1) end
  call('HSET', q.base .. id, 'stacktrace', cjson.encode(traces))
end

-- Out of the lease: the lock is checked before, the place in `active` has gone already.
local function leave_active(q, ids)
  local locks = {}
  for i, id in ipairs(ids) do locks[i] = q.base .. id .. ':lock' end
  call('DEL', unpack(locks))
  call('ZREM', q.leases, unpack(ids))
  call('SREM', q.stalled, unpack(ids))
end

local function complete(q, job, verdict)
  local key = q.base .. job.id
  local made = job.atm and tostring(tonumber(job.atm) + 1) or '1'
  call('HSET', key, 'atm', made, 'returnvalue', verdict.a, 'finishedOn', now_text)
  if job.parentKey then
    call('HDEL', key, 'defa', 'cont')
    child_completed(job.parentKey, key, verdict.a)
  end
  if job.deid then release_deduplication(q, job.id, job.deid) end
  tell(q, 'completed', 'jobId', job.id, 'returnvalue', verdict.a, 'prev', 'active', 'name', job.name)
  count_attempt(q, 'completed', job)
  tally(q).completed = tally(q).completed + 1
end

local function attempts_of(q, id)
  local ok, options = pcall(cjson.decode, call('HGET', q.base .. id, 'opts') or '')
  return ok and type(options) == 'table' and tonumber(options.attempts) or 0
end

-- Fail an active job for good. `attempt` is 0 when the run does not count as one.
local function fail(q, job, reason, trace, keep, attempt)
  local made = (tonumber(job.atm) or 0) + attempt
  call('HSET', q.base .. job.id, 'atm', made)
  if trace then add_trace(q, job.id, trace) end
  fail_stored(q, job.id, reason, 'active')
  if attempt > 0 then
    count_attempt(q, 'failed', job)
    if made >= attempts_of(q, job.id) then tell(q, 'retries-exhausted', 'jobId', job.id, 'attemptsMade', made) end
  end
  retain(q, 'failed', keep, { job.id })
end

-- Back for later, or to the end of its rank; `word` is corral's own for it.
local function to_later(q, job, after, word, ...)
  local key = q.base .. job.id
  call('HSET', key, 'delay', after, 'rdy', now + after)
  if after > 0 then
    put_delayed(q, job.id, now + after)
    tell(q, 'delayed', 'jobId', job.id, 'delay', now + after, 'prev', 'active', 'name', job.name, 'corral', word, ...)
  else
    put_ready(q, job.id, job.priority, false)
    tell(q, 'waiting', 'jobId', job.id, 'prev', 'active', 'name', job.name, 'corral', word, ...)
  end
end

local function retry(q, job, verdict)
  call('HSET', q.base .. job.id, 'atm', (tonumber(job.atm) or 0) + 1, 'failedReason', verdict.a)
  if verdict.b then add_trace(q, job.id, verdict.b) end
  count_attempt(q, 'retried', job)
  to_later(q, job, verdict.after, 'retrying', 'reason', verdict.a)
end

-- Wait for children, unless there is nothing to wait for any more.
local function park(q, job)
  local key = q.base .. job.id
  tell(q, 'waiting-children', 'jobId', job.id, 'prev', 'active', 'name', job.name)
  local news = call('HMGET', key, 'defa', 'cont')
  if news[1] then
    fail_stored(q, job.id, news[1], 'active')
  elseif news[2] or call('SCARD', key .. ':dependencies') == 0 then
    call('HDEL', key, 'cont')
    call('HSET', key, 'rdy', now_text)
    put_ready(q, job.id, job.priority, false)
    tell(q, 'waiting', 'jobId', job.id, 'prev', 'waiting-children', 'name', job.name)
  else
    call('ZADD', q.children, now, job.id)
  end
end

local function crash(q, job, verdict)
  local crashes = call('HINCRBY', q.base .. job.id, 'stc', 1)
  call('HSET', q.base .. job.id, 'failedReason', verdict.a)
  tell(q, 'stalled', 'jobId', job.id, 'name', job.name, 'reason', verdict.a)
  if crashes < verdict.limit then return true end
  fail(q, job, string.format('quarantined after %d crashes: %s', crashes, verdict.a), nil, verdict, 0)
  return false
end

local function cancelled(reason) return reason == '' and 'cancelled' or 'cancelled: ' .. reason end

local function rank(priority)
  if priority == 0 then return URGENT + 1 end
  return priority <= URGENT and priority or priority + 1
end

-- Best first, as they stood in the queue: those claimed earlier are further towards the tail of `active`.
local function sort_back(jobs)
  table.sort(jobs, function(a, b)
    if rank(a.priority) ~= rank(b.priority) then return rank(a.priority) < rank(b.priority) end
    return a.position > b.position
  end)
end

local function stored_keep(q)
  local text = call('HGET', q.settings, 'keep_failed')
  return text and cjson.decode(text) or {}
end

local FEW = 8 -- so many jobs are taken out of `active` one by one

-- Take these jobs out of `active`; answers the place of each that was there. A list that is mostly theirs is written anew.
local function take_out(q, ids)
  local length = call('LLEN', q.active)
  if length > 1000 or (length > FEW and length > 4 * #ids) then
    local found = {}
    for _, id in ipairs(ids) do
      local place = call('LPOS', q.active, id, 'RANK', -1)
      if place and call('LREM', q.active, -1, id) > 0 then found[id] = place end
    end
    return found
  end
  local active, found, rest, leaving = call('LRANGE', q.active, 0, -1), {}, {}, {}
  for _, id in ipairs(ids) do leaving[id] = true end
  for place, id in ipairs(active) do
    if leaving[id] then
      found[id], leaving[id] = place, nil -- once: an id that is there twice was put there by somebody else
    else
      rest[#rest + 1] = id
    end
  end
  call('DEL', q.active)
  if #rest > 0 then call('RPUSH', q.active, unpack(rest)) end
  return found
end

-- Which verdicts still hold: their lock is theirs and their job is active.
local function accept(q, verdicts, refused)
  local locks, ids, accepted = {}, {}, {}
  for i, one in ipairs(verdicts) do locks[i] = q.base .. one.id .. ':lock' end
  local tokens = call('MGET', unpack(locks))
  for i, one in ipairs(verdicts) do
    if tokens[i] == one.token then ids[#ids + 1] = one.id end
  end
  local found = #ids > 0 and take_out(q, ids) or {}
  for i, one in ipairs(verdicts) do
    if tokens[i] == one.token and found[one.id] then
      one.position = found[one.id]
      found[one.id] = nil -- a second verdict of the same run finds nothing
      accepted[#accepted + 1] = one
    else
      local there = call('EXISTS', q.base .. one.id) == 1
      refused[#refused + 1] = { one.id, there and 'lease-lost' or 'job-missing' }
    end
  end
  return accepted
end

local function settle_one(q, job, one, back)
  look_closer(q, job)
  if job.cancel and one.kind ~= 'c' and one.kind ~= 'f' then
    return fail(q, job, cancelled(job.cancel), nil, stored_keep(q), 1)
  end
  if one.kind == 'f' then
    fail(q, job, one.a, one.b, one, 1)
  elseif one.kind == 'r' then
    retry(q, job, one)
  elseif one.kind == 's' then
    to_later(q, job, one.after, 'snoozed')
  elseif one.kind == 'p' then
    park(q, job)
  else
    job.position = one.position
    if one.kind == 'l' then
      tell(q, 'waiting', 'jobId', job.id, 'prev', 'active', 'name', job.name, 'corral', 'released')
      back[#back + 1] = job
    elseif crash(q, job, one) then
      back[#back + 1] = job
    end
  end
end

local function keep_completed(q, done)
  local scores, by_keep = {}, {}
  for _, one in ipairs(done) do
    scores[#scores + 1] = finish_score(q, 'completed')
    scores[#scores + 1] = one.id
    local kind = tostring(one.count) .. '/' .. tostring(one.age_ms)
    local same = by_keep[kind] or { keep = one, own = {} }
    same.own[#same.own + 1] = one.id
    by_keep[kind] = same
  end
  call('ZADD', q.completed, unpack(scores))
  for _, same in pairs(by_keep) do retain(q, 'completed', same.keep, same.own) end
end

-- Apply the verdicts; answers those that changed nothing.
local function settle(q, verdicts)
  local refused, done, back, ids, names = {}, {}, {}, {}, {}
  local accepted = accept(q, verdicts, refused)
  if #accepted == 0 then return refused end
  for i, one in ipairs(accepted) do ids[i] = one.id end
  leave_active(q, ids)
  for i, one in ipairs(accepted) do
    local job = look(q, one.id)
    names[i] = job.name
    if one.kind == 'c' then
      complete(q, job, one)
      done[#done + 1] = one
    else
      settle_one(q, job, one, back)
    end
  end
  if #done > 0 then keep_completed(q, done) end
  if #back > 0 then
    sort_back(back)
    for _, job in ipairs(back) do call('HSET', q.base .. job.id, 'rdy', now) end
    put_back(q, back)
  end
  if caps(q) then
    for _, name in ipairs(names) do unhold(q, name) end
  end
  tell_idle(q)
  if meta(q).concurrency and ready_count(q) > 0 then wake(q) end
  return refused
end

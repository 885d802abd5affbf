-- lib/verdict.lua - what becomes of runs that ended.

local FIELDS = { 'name', 'atm', 'parentKey', 'deid', 'processedOn', 'rdy', 'timestamp' }
local MORE = { 'priority', 'parent', 'cancel', 'gid', 'fp' }
local note_failure, add_more -- lib/outcomes.lua: what only settle_full.lua knows
local TRACES = 10 -- newest tracebacks kept with a job

-- What is known of an active job; nil when its hash is gone, which must not be written anew.
local function look(q, id)
  local f = redis.pcall('HMGET', q.base .. id, unpack(FIELDS))
  if f.err then return set_apart(q, id) end
  if not (f[1] or f[5]) then
    if call('EXISTS', q.base .. id) == 1 then set_apart(q, id) end
    return nil
  end
  return { id = id, name = f[1] or '', atm = f[2] or nil, parentKey = f[3] or nil, deid = f[4] or nil, processedOn = f[5] or nil,
    rdy = f[6] or nil, timestamp = f[7] or nil }
end

local function look_closer(q, job)
  if not job then return nil end
  local f = call('HMGET', q.base .. job.id, unpack(MORE))
  job.priority, job.parent, job.cancel, job.gid, job.fp = whole(f[1]), f[2] or nil, f[3] or nil, f[4] or nil, f[5]
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
  local locks, base = {}, q.base
  for i = 1, #ids do locks[i] = base .. ids[i] .. ':lock' end
  call('DEL', unpack(locks))
  call('ZREM', q.leases, unpack(ids))
  call('SREM', q.stalled, unpack(ids))
  if meta(q).guarded then grouping().leave(q, ids) end
end

local function options_of(q, id)
  local ok, options = pcall(cjson.decode, call('HGET', q.base .. id, 'opts') or '')
  return ok and type(options) == 'table' and options or {}
end

-- Fail an active job for good. `attempt` is 0 when the run does not count as one.
local function fail(q, job, reason, trace, keep, attempt)
  local made = whole(job.atm) + attempt
  call('HSET', q.base .. job.id, 'atm', made)
  if trace then add_trace(q, job.id, trace) end
  fail_stored(q, job.id, reason, 'active')
  if attempt > 0 then
    count_attempt(q, 'failed', job)
    if made >= (tonumber(options_of(q, job.id).attempts) or 0) then tell(q, 'retries-exhausted', 'jobId', job.id, 'attemptsMade', made) end
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
    put_ready(q, job.id, job.priority, false, job.gid)
    tell(q, 'waiting', 'jobId', job.id, 'prev', 'active', 'name', job.name, 'corral', word, ...)
  end
end

local function retry(q, job, verdict)
  call('HSET', q.base .. job.id, 'atm', whole(job.atm) + 1, 'failedReason', verdict.a)
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
    put_ready(q, job.id, job.priority, false, job.gid)
    tell(q, 'waiting', 'jobId', job.id, 'prev', 'waiting-children', 'name', job.name)
  else
    call('ZADD', q.children, now, job.id)
  end
end

local function count_crash(q, id)
  local crashes = whole(call('HGET', q.base .. id, 'stc')) + 1
  call('HSET', q.base .. id, 'stc', crashes)
  local own = options_of(q, id).corral
  return crashes, type(own) == 'table' and tonumber(own.max_crashes) or nil
end

local function quarantine_reason(crashes, reason)
  return string.format('quarantined after %d crash%s: %s', crashes, crashes == 1 and '' or 'es', reason)
end

local function crash(q, job, verdict)
  local crashes, most = count_crash(q, job.id)
  call('HSET', q.base .. job.id, 'failedReason', verdict.a)
  tell(q, 'stalled', 'jobId', job.id, 'name', job.name, 'reason', verdict.a)
  if crashes < (most or verdict.limit) then return true end
  fail(q, job, quarantine_reason(crashes, verdict.a), nil, verdict, 0)
  return false
end

local function cancelled(reason) return reason == '' and 'cancelled' or 'cancelled: ' .. reason end

-- Best first, as they stood in the queue: those claimed earlier are further towards the tail of `active`.
local function sort_back(jobs)
  table.sort(jobs, function(a, b)
    if a.priority ~= b.priority then return rank_of(a.priority) < rank_of(b.priority) end
    return a.position > b.position
  end)
end

local function stored_keep(q)
  local text = call('HGET', q.settings, 'keep_failed')
  return text and cjson.decode(text) or {}
end

local FEW = 8 -- so many jobs are looked for in `active` one by one: each costs the server as much as reading a tenth of it
local LEFT = '\0' -- put in the place of those that leave

-- The places of these jobs in a long list, read from its end, where the oldest are, until all are found.
local function places_of(q, ids, length)
  local found, missing, leaving = {}, #ids, {}
  for i = 1, #ids do leaving[ids[i]] = true end
  for last = length - 1, 0, -1000 do
    local first = math.max(0, last - 999)
    local some = call('LRANGE', q.active, first, last)
    for i = #some, 1, -1 do
      local id = some[i]
      if leaving[id] then found[id], leaving[id], missing = first + i - 1, nil, missing - 1 end
    end
    if missing == 0 then break end
  end
  return found
end

-- Take these jobs out of `active`; answers the place of each that was there. A list that is mostly theirs is written anew.
local function take_out(q, ids)
  local length = call('LLEN', q.active)
  if #ids <= FEW and length > FEW then
    local found = {}
    for _, id in ipairs(ids) do found[id] = call('LPOS', q.active, id, 'RANK', -1) or nil end
    for id in pairs(found) do call('LREM', q.active, -1, id) end
    return found
  elseif length > 4 * #ids then
    local found, count = places_of(q, ids, length), 0
    for _, place in pairs(found) do
      call('LSET', q.active, place, LEFT)
      count = count + 1
    end
    if count > 0 then call('LREM', q.active, -count, LEFT) end
    return found
  end
  local found, leaving, count = {}, {}, #ids
  for i = 1, count do leaving[ids[i]] = true end
  -- Mostly they are the ones that have been there longest, and nothing else has: then the tail is cut off.
  local tail, before = call('LRANGE', q.active, -count, -1), math.max(0, length - count)
  for i = 1, #tail do
    if leaving[tail[i]] then found[tail[i]], leaving[tail[i]] = before + i, nil end
  end
  if next(leaving) == nil then
    call('LTRIM', q.active, 0, -count - 1)
    return found
  end
  local active, rest = call('LRANGE', q.active, 0, -1), {}
  found = {}
  for i = 1, count do leaving[ids[i]] = true end
  for place = 1, #active do
    local id = active[place]
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

-- Which verdicts still hold: their lock is theirs and their job is active. Also answers their ids.
local function accept(q, verdicts, refused)
  local locks, ids, held, accepted, base = {}, {}, {}, {}, q.base
  for i = 1, #verdicts do locks[i] = base .. verdicts[i].id .. ':lock' end
  local tokens = call('MGET', unpack(locks))
  for i = 1, #verdicts do
    if tokens[i] == verdicts[i].token then held[#held + 1] = verdicts[i].id end
  end
  local found = #held > 0 and take_out(q, held) or {}
  for i = 1, #verdicts do
    local one = verdicts[i]
    local id = one.id
    one.position = tokens[i] == one.token and found[id]
    if one.position then
      found[id] = nil -- a second verdict of the same run finds nothing
      accepted[#accepted + 1], ids[#ids + 1] = one, id
    else
      refused[#refused + 1] = { id, call('EXISTS', base .. id) == 1 and 'lease-lost' or 'job-missing' }
    end
  end
  return accepted, ids
end

local function settle_one(q, job, one, back)
  if job.cancel and one.kind ~= 'f' then
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
    elseif one.kind == 't' then
      local ends = grouping().limited(q, one.group and job.gid, one.after, one.a or '')
      tell(q, 'waiting', 'jobId', job.id, 'prev', 'active', 'name', job.name, 'corral', 'limited', 'until', string.format('%.0f', ends),
        'reason', one.a or '')
      back[#back + 1] = job
    elseif crash(q, job, one) then
      back[#back + 1] = job
    end
  end
end

-- Write down that a run completed; `f` is what its hash had.
local function complete(q, one, key, f)
  local id, result, name = one.id, one.a, f[1] or ''
  call('HSET', key, 'atm', f[2] and tostring(whole(f[2]) + 1) or '1', 'returnvalue', result, 'finishedOn', now_text)
  if f[3] then tell_parent(q, child_completed, f[3], key, result) end
  if f[8] then tell_after(q, id, 'completed', result) end
  if f[4] then release_deduplication(q, id, f[4]) end
  tell(q, 'completed', 'jobId', id, 'returnvalue', result, 'prev', 'active', 'name', name)
  local started = f[5] and whole(f[5]) or now
  local a = tally(q).attempts
  a.wait = a.wait + math.max(0, started - whole(f[6] or f[7] or started))
  a.run = a.run + math.max(0, now - started)
  return name
end

-- The runs that completed. Nearly all do, so this is the loop that the speed of a queue hangs on: a µs here is 4 % of it.
local function complete_all(q, done, names, refused)
  local base, t, last = q.base, tally(q), #names
  local members, groups, same = {}, {}, nil
  for i = 1, #done do
    local one = done[i]
    local id, key = one.id, base .. one.id
    local f = redis.pcall('HMGET', key, 'name', 'atm', 'parentKey', 'deid', 'processedOn', 'rdy', 'timestamp', 'then')
    if f.err or not (f[1] or f[5]) then
      if f.err then set_apart(q, id) end
      refused[#refused + 1] = { id, 'job-missing' }
      one.missing = true
      unhold_all(q)
    else
      names[#names + 1] = complete(q, one, key, f)
      members[#members + 1] = finish_score(q, 'completed')
      members[#members + 1] = id
      if not same or same.keep.count ~= one.count or same.keep.age_ms ~= one.age_ms then
        same = { keep = one, own = {} }
        groups[#groups + 1] = same
      end
      same.own[#same.own + 1] = id
    end
  end
  if #members == 0 then return end
  call('ZADD', q.completed, unpack(members))
  t.completed = t.completed + #names - last
  t.attempts.completed = t.attempts.completed + #names - last
  for _, group in ipairs(groups) do retain(q, 'completed', group.keep, group.own) end
end

-- Apply the verdicts; answers those that changed nothing.
local function settle(q, verdicts)
  local refused, done, back, names = {}, {}, {}, {}
  local accepted, ids = accept(q, verdicts, refused)
  if #accepted == 0 then return refused end
  leave_active(q, ids)
  for i = 1, #accepted do
    local one = accepted[i]
    if one.kind == 'c' then
      done[#done + 1] = one
    else
      local job = look_closer(q, look(q, one.id))
      if job then
        names[#names + 1] = job.name
        local stopped = job.cancel and one.kind ~= 'f' -- it fails for that
        if one.failure and not stopped then
          note_failure(q, job, one)
        elseif job.fp and (stopped or one.kind == 'f' or one.kind == 'r') then
          call('HDEL', q.base .. job.id, 'fp') -- of an earlier attempt
        end
        settle_one(q, job, one, back)
      else
        one.missing = true
        refused[#refused + 1] = { one.id, 'job-missing' }
        unhold_all(q)
      end
    end
  end
  if #done > 0 then complete_all(q, done, names, refused) end
  if #back > 0 then
    sort_back(back)
    for _, job in ipairs(back) do call('HSET', q.base .. job.id, 'rdy', now) end
    put_back(q, back)
  end
  if caps(q) then
    for _, name in ipairs(names) do unhold(q, name) end
  end
  if add_more then add_more(accepted) end
  if meta(q).guarded then grouping().settled(q) end
  tell_idle(q)
  if meta(q).concurrency and ready_count(q) > 0 then wake(q) end
  return refused
end

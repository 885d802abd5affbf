-- lib/verdict.lua - what becomes of runs that ended.
--! include lib/active.lua
--! include lib/complete.lua

local FIELDS = { 'name', 'atm', 'parentKey', 'deid', 'processedOn', 'rdy', 'timestamp' }
local MORE = { 'priority', 'parent', 'cancel', 'gid', 'fp', 'pb', 'past' }
local note_failure, add_more -- lib/outcomes.lua: what only settle_full.lua knows
local TRACES = 10 -- newest tracebacks kept with a job
local PAST, SAID = 25, 300 -- newest attempts told of with it, and bytes of what each said (job.MAX_PAST, job.MAX_PAST_REASON)

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
  job.pb, job.past = f[6] or '', f[7] or nil
  return job
end

-- A stored list with one more, the oldest dropped.
local function append(stored, one, most)
  local ok, list = pcall(cjson.decode, stored or '')
  if not ok or type(list) ~= 'table' then list = {} end
  list[#list + 1] = one
  while #list > most do table.remove(list, 1) end
  return cjson.encode(list)
end

-- Note how an attempt ended that did not complete its job, and its trace if there is one.
local function add_attempt(q, job, outcome, reason, after, trace)
  local said = #reason
  if said > SAID then
    said = SAID
    while said > 0 and math.floor(string.byte(reason, said + 1) / 64) == 2 do said = said - 1 end -- up to the end of a character
  end
  local one = { whole(job.atm) + 1, whole(job.processedOn), now, job.pb, outcome, string.sub(reason, 1, said), after or cjson.null,
    trace and true or false }
  call('HSET', q.base .. job.id, 'past', append(job.past, one, PAST))
  if trace then
    call('HSET', q.base .. job.id, 'stacktrace', append(call('HGET', q.base .. job.id, 'stacktrace'), trace, TRACES))
  end
end

local function options_of(q, id)
  local ok, options = pcall(cjson.decode, call('HGET', q.base .. id, 'opts') or '')
  return ok and type(options) == 'table' and options or {}
end

-- Fail an active job for good. `attempt` is 0 when the run does not count as one.
local function fail(q, job, reason, trace, keep, attempt)
  local made = whole(job.atm) + attempt
  if attempt > 0 then add_attempt(q, job, 'failed', reason, nil, trace) end
  call('HSET', q.base .. job.id, 'atm', made)
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
  add_attempt(q, job, 'retried', verdict.a, verdict.after, verdict.b)
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

local function count_crash(q, job, reason)
  local crashes = whole(call('HGET', q.base .. job.id, 'stc')) + 1
  call('HSET', q.base .. job.id, 'stc', crashes)
  add_attempt(q, job, 'crashed', reason)
  local own = options_of(q, job.id).corral
  return crashes, type(own) == 'table' and tonumber(own.max_crashes) or nil
end

local function quarantine_reason(crashes, reason)
  return string.format('quarantined after %d crash%s: %s', crashes, crashes == 1 and '' or 'es', reason)
end

local function crash(q, job, verdict)
  local crashes, most = count_crash(q, job, verdict.a)
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

end_tied = function(q, id, key, f, result)
  if f[3] then tell_parent(q, child_completed, f[3], key, result) end
  if f[8] then tell_after(q, id, 'completed', result) end
  if f[4] then release_deduplication(q, id, f[4]) end
end

-- A job whose hash is gone, or is something else.
local function miss(q, one, refused)
  one.missing = true
  refused[#refused + 1] = { one.id, 'job-missing' }
  unhold_all(q)
end

-- Runs of completions with the same bound for what is kept.
local function runs_of(done)
  local runs, run = {}, nil
  for i = 1, #done do
    local one = done[i]
    if not run or run.count ~= one.count or run.age_ms ~= one.age_ms then
      run = { count = one.count, age_ms = one.age_ms, ids = {}, results = {}, verdicts = {} }
      runs[#runs + 1] = run
    end
    local n = #run.ids + 1
    run.ids[n], run.results[n], run.verdicts[n] = one.id, one.a, one
  end
  return runs
end

-- Completions that came by themselves, as other verdicts are written.
local function spelled_out(done)
  local verdicts = {}
  for _, run in ipairs(done) do
    for at = 1, #run[4], 2 do
      verdicts[#verdicts + 1] = { id = run[4][at], token = run[1], kind = 'c', a = run[4][at + 1], count = run[2], age_ms = run[3] }
    end
  end
  return verdicts
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
        miss(q, one, refused)
      end
    end
  end
  if #done > 0 then
    local missing = complete_all(q, runs_of(done), names)
    for i = 1, #missing, 2 do
      if missing[i + 1].err then set_apart(q, missing[i].id) end
      miss(q, missing[i], refused)
    end
  end
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

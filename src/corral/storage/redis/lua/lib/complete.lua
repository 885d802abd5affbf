-- lib/complete.lua - runs that completed. Nearly all do, so this is the loop that the speed of a queue hangs on: a µs here is 4 % of it.

local end_tied -- lib/verdict.lua: what a completion means for other jobs, for the few that have any

-- What is asked of a job that completed. 3, 4 and 8 are there when other jobs are to hear of it.
local function look_done(key)
  return redis.pcall('HMGET', key, 'name', 'atm', 'parentKey', 'deid', 'processedOn', 'rdy', 'timestamp', 'then')
end

-- Let the runs complete that `runs` has: { { count?, age_ms?, ids, results, verdicts? } ... }, where `looks` may have what is known of a
-- job by its id. Adds their names to `names`; answers the verdicts of those that were not there, and what was.
local function complete_all(q, runs, names, looks)
  local base, events, counts = q.base, q.events, tally(q).attempts
  local members, missing, last = {}, {}, #names
  local text, started
  q.told = true
  for r = 1, #runs do
    local run, own = runs[r], {}
    local ids, results = run.ids, run.results
    for i = 1, #ids do
      local id, result = ids[i], results[i]
      local key = base .. id
      local f = looks and looks[id] or look_done(key)
      local name = f[1] or ''
      if f.err or not (f[1] or f[5]) then
        missing[#missing + 1], missing[#missing + 2] = run.verdicts[i], f
      else
        names[#names + 1], own[#own + 1] = name, id
        call('HSET', key, 'atm', f[2] and tostring(whole(f[2]) + 1) or '1', 'returnvalue', result, 'finishedOn', now_text)
        if f[3] or f[4] or f[8] then end_tied(q, id, key, f, result) end
        if given then
          tell(q, 'completed', 'jobId', id, 'returnvalue', result, 'prev', 'active', 'name', name)
        else -- 3 % less than by tell()
          call('XADD', events, '*', 'event', 'completed', 'jobId', id, 'returnvalue', result, 'prev', 'active', 'name', name)
        end
        if f[5] ~= text or not text then text, started = f[5], f[5] and whole(f[5]) or now end
        counts.wait = counts.wait + math.max(0, started - whole(f[6] or f[7] or started))
        counts.run = counts.run + math.max(0, now - started)
        members[#members + 1] = finish_score(q, 'completed')
        members[#members + 1] = id
      end
    end
    run.own = own
  end
  if #members == 0 then return missing end
  call('ZADD', q.completed, unpack(members))
  tally(q).completed = tally(q).completed + #names - last
  counts.completed = counts.completed + #names - last
  for r = 1, #runs do retain(q, 'completed', runs[r], runs[r].own) end
  return missing
end

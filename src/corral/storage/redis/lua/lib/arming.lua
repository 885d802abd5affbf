-- lib/arming.lua - the job that stands for a schedule's next slot, and the schedule's place in BullMQ's keys.

-- What has become of the job that stands for a slot, which is taken out of `delayed` if nobody has touched it: `free`, `gone`,
-- `taken` (it runs, or will) or `made` (there was a run of this slot).
local function withdraw(q, key, at)
  local id = slot_id(key, at)
  local job = redis.pcall('HMGET', q.base .. id, 'name', 'slot', 'ats')
  if job.err or job[2] then return 'made' end
  if not job[1] then
    call('ZREM', q.delayed, id)
    return 'gone'
  end
  if not job[3] and call('ZREM', q.delayed, id) == 1 then
    delete_keys(q, id)
    return 'free'
  end
  local ended = call('ZSCORE', q.completed, id) or call('ZSCORE', q.failed, id)
  return ended and 'made' or 'taken'
end

-- The options of a job as its scheduler's, from their beginning on: a Node worker that claims a job with `rjk` wants them all.
local function scheduled_opts(beginning, key, id, number, delay, rest)
  return string.format('%s"count":%s},"repeatJobKey":%s,"jobId":%s,"delay":%s,"timestamp":%s%s}', beginning, digits(number),
    cjson.encode(key), cjson.encode(id), digits(delay), digits(now), rest)
end

-- Write the job that stands for the next slot: all that a Node worker needs to run it and to make the one after it.
local function place_slot(q, key, s)
  local id = slot_id(key, s.next_at)
  if call('EXISTS', q.base .. id) == 1 then return end -- that slot had its run
  local found = call('HMGET', definition(q, key), 'name', 'data', 'corral', 'pattern')
  local priority, beginning = string.match(found[3], '^(%d+) (.*)$')
  local delay = math.max(0, s.next_at - now)
  local opts = scheduled_opts(beginning, key, id, s.fired + 1, delay, found[4] and ',"prevMillis":' .. digits(s.next_at) or '')
  call('HSET', q.base .. id, 'name', found[1], 'data', found[2] or '{}', 'opts', opts, 'timestamp', now, 'delay', delay,
    'priority', priority, 'rjk', key)
  put_delayed(q, id, s.next_at)
end

-- Jobs that are made for slots: in Node's eyes runs of the scheduler, whose next one has been made already.
local function as_runs(q, key, s, jobs)
  local found = call('HGET', definition(q, key), 'corral')
  local plan = string.match(found, '^.*("repeat":{.*)$')
  for i, job in ipairs(jobs) do
    local own = job.opts == '{}' and '{' or string.sub(job.opts, 1, -2) .. ','
    job.repeats = true
    job.opts = scheduled_opts(own .. plan, key, job.id or '', s.fired + i, 0, '')
  end
  return jobs
end

-- Put a schedule where its state says: into BullMQ's keys with its next slot, or out of them. `fields` replaces its definition.
local function arm(q, key, s, fields)
  if s.paused or not s.next_at then
    call('ZREM', q['repeat'], key)
    call('DEL', definition(q, key))
    return
  end
  if fields then
    call('DEL', definition(q, key))
    call('HSET', definition(q, key), unpack(fields))
  end
  call('ZADD', q['repeat'], s.next_at, key)
  call('HSET', definition(q, key), 'ic', s.fired + 1)
  if not s.silent then place_slot(q, key, s) end
end

-- lib/tally.lua - what this call adds to a queue's counters, written once at its end.

local MINUTE = 60000
local KEEP_MINUTES = 20160 -- two weeks

local function tally(q)
  local t = rawget(q, 'tally')
  if not t then
    t = { completed = 0, failed = 0, attempts = { completed = 0, failed = 0, retried = 0, wait = 0, run = 0 } }
    q.tally = t
  end
  return t
end

-- Count a run that was an attempt. `job` has the times, as texts or numbers.
local function count_attempt(q, kind, job)
  local a = tally(q).attempts
  a[kind] = a[kind] + 1
  local started = tonumber(job.processedOn or nil) or now
  local ready = tonumber(job.rdy or nil) or tonumber(job.timestamp or nil) or started
  a.wait = a.wait + math.max(0, started - ready)
  a.run = a.run + math.max(0, now - started)
end

-- BullMQ's own metrics: finished jobs per minute, newest first. The value belongs to the minute of the one before.
local function store_metrics(q, state, finished)
  local key = q.base .. 'metrics:' .. state
  local before = call('HINCRBY', key, 'count', string.format('%d', finished)) - finished
  local last = call('HMGET', key, 'prevTS', 'prevCount')
  if not last[1] then
    call('HSET', key, 'prevTS', now, 'prevCount', before)
    return
  end
  local minutes = math.min(math.floor(now / MINUTE) - math.floor(tonumber(last[1]) / MINUTE), KEEP_MINUTES)
  if minutes > 0 then
    local data = key .. ':data'
    call('LPUSH', data, before - (tonumber(last[2]) or 0))
    for _ = 2, minutes do call('LPUSH', data, 0) end
    call('LTRIM', data, 0, KEEP_MINUTES - 1)
    call('HSET', key, 'prevTS', now, 'prevCount', before)
  end
end

-- Drop the minutes before a time. Which is the first one is kept, so that they are only looked through when one has to go.
local function forget_minutes(q, before)
  local first = tonumber(call('HGET', q.state, 'minute') or nil)
  if first and first >= before then return end
  local old, oldest = {}, now
  for _, minute in ipairs(call('HKEYS', q.minutes)) do
    local at = tonumber(minute)
    if at < before then old[#old + 1] = minute else oldest = math.min(oldest, at) end
  end
  for from = 1, #old, 1000 do call('HDEL', q.minutes, unpack(old, from, math.min(from + 999, #old))) end
  call('HSET', q.state, 'minute', string.format('%.0f', oldest))
end

-- corral's own: one field a minute, `completed failed retried wait_ms run_ms`.
local function store_minute(q, a)
  local minute = string.format('%.0f', now - now % MINUTE)
  local c, f, r, w, t = 0, 0, 0, 0, 0
  local stored = call('HGET', q.minutes, minute)
  if stored then
    c, f, r, w, t = string.match(stored, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  end
  c, f, r, w, t = c + a.completed, f + a.failed, r + a.retried, w + a.wait, t + a.run
  local small = math.max(c, f, r, w, t) < 2147483648 -- %d is three times as fast, and may have 32 bits
  call('HSET', q.minutes, minute, string.format(small and '%d %d %d %d %d' or '%.0f %.0f %.0f %.0f %.0f', c, f, r, w, t))
  if not stored then forget_minutes(q, tonumber(minute) - KEEP_MINUTES * MINUTE) end
end

local RARELY = 16 -- of so many calls with a few events each one bounds the streams

-- The last act of every script that changes something. `few`: it wrote only a few events.
local function conclude(few)
  for _, q in pairs(queues_by_base) do
    local t = rawget(q, 'tally')
    if t then
      if t.completed > 0 then store_metrics(q, 'completed', t.completed) end
      if t.failed > 0 then store_metrics(q, 'failed', t.failed) end
      if t.attempts.completed + t.attempts.failed + t.attempts.retried > 0 then store_minute(q, t.attempts) end
    end
  end
  mark_due()
  if not few or number % RARELY == 0 then trim_events() end
end

-- lib/cadence.lua - corral's schedules as BullMQ's job schedulers.
--
-- An armed schedule stands in `repeat` (score: its next slot) and in the hash `repeat:<key>`, both or neither; as a rule a job in
-- `delayed` stands for the next slot, which a Node worker runs like its own: it then moves the score on and raises `ic`. What
-- `repeat` says wins over the schedule's own JSON. The hash's field `corral` is ours; when it is missing while the rest is there,
-- Node has put another definition in its place. A schedule that is paused or has ended is in our own hash alone.

-- The last fields of a stored schedule, which change from run to run. Its text is never decoded and encoded again: Lua's JSON
-- cannot tell an empty list from an empty object.
local TAIL = '^(.*),"next_at":([^,]*),"last_at":([^,]*),"last_job_id":(.*),"fired":(%d+)}$'

local function digits(number) return string.format('%.0f', number) end

local function slot_id(key, at) return 'repeat:' .. key .. ':' .. digits(at) end

local function definition(q, key) return q.base .. 'repeat:' .. key end

local function has(head, field) return string.find(head, field, 1, true) ~= nil end

local function read_body(body)
  local head, next_at, last_at, last_job, fired = string.match(body, TAIL)
  if not head then return nil end
  return {
    head = head,
    next_at = tonumber(next_at),
    last_at = last_at,
    last_job = last_job,
    fired = tonumber(fired),
    paused = has(head, ',"paused":true,'),
    skips = has(head, ',"overlap":"skip",'),
    -- What only corral can decide, a payload made at each run or a run left out, has no job that a Node worker could take.
    silent = has(head, ',"computed":true,') or has(head, ',"overlap":"skip",'),
  }
end

-- A stored schedule; nil where there is none that can be read.
local function stored(q, key)
  local body = call('HGET', q.schedules, key)
  return body and read_body(body) or nil
end

local function text_of(s)
  return string.format('%s,"next_at":%s,"last_at":%s,"last_job_id":%s,"fired":%s}', s.head,
    s.next_at and digits(s.next_at) or 'null', s.last_at, s.last_job, digits(s.fired))
end

-- Store a schedule. `slots` has those whose next slot stands in `delayed`, so that they can be told from jobs by number.
local function save(q, key, s)
  call('HSET', q.schedules, key, text_of(s))
  if s.next_at and not s.paused and not s.silent then
    call('ZADD', q.own .. 'slots', s.next_at, key)
  else
    call('ZREM', q.own .. 'slots', key)
  end
end

local function forget(q, key)
  call('ZREM', q.own .. 'slots', key)
  return call('HDEL', q.schedules, key) == 1
end

local function slot_of(q, key)
  local score = redis.pcall('ZSCORE', q['repeat'], key)
  return type(score) == 'string' and tonumber(score) or nil
end

-- Bring an armed schedule in line with what Node has done to it: `gone`, `edited`, `moved`.
local function catch_up(q, key, s)
  if s.paused or not s.next_at then return end
  local at = slot_of(q, key)
  local found = redis.pcall('HMGET', definition(q, key), 'ic', 'corral', 'every')
  if not at or found.err then
    s.gone = true
    return
  end
  s.edited = not found[2]
  if at == s.next_at then return end
  s.moved = true
  local fired = (tonumber(found[1] or nil) or s.fired + 2) - 1
  if fired > s.fired then
    local before, every = s.next_at, tonumber(found[3] or nil)
    if fired > s.fired + 1 and every then before = math.max(before, at - every) end
    s.last_at, s.last_job, s.fired = digits(before), cjson.encode(slot_id(key, before)), fired
  end
  s.next_at = at
end

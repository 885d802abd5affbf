-- lib/take.lua - claim the best jobs that may run: the one body behind `claim` and the second half of `settle`.
--! include lib/start.lua

local PROMOTE = 300 -- due jobs moved per call: 4 ms
local PASS_OVER = 300 -- jobs passed over per call (set aside, expired or unreadable): 5 ms

local function promote_one(q, id, score)
  call('ZREM', q.delayed, id)
  if release_hold(q, id) then return put_where_it_stood(q, id) end
  local job = redis.pcall('HMGET', q.base .. id, 'priority', 'name', 'gid')
  if job.err then return set_apart(q, id) end
  if not (job[1] or job[2]) then -- nothing behind the id: a hash is not made for it
    if call('EXISTS', q.base .. id) == 1 then set_apart(q, id) end
    return nil
  end
  local priority = whole(job[1])
  call('HSET', q.base .. id, 'delay', 0, 'rdy', string.format('%.0f', math.floor(tonumber(score) / 4096)))
  put_ready(q, id, priority, false, job[3])
  tell(q, 'waiting', 'jobId', id, 'prev', 'delayed', 'name', job[2] or '')
end

-- When the next delayed job falls due; those that are only set aside do not count. Behind a thousand of them it may be later.
local function next_due(q, limit)
  local held, last = call('ZCARD', q.held) > 0, nil
  for from = 0, 900, 100 do
    local some = call('ZRANGEBYSCORE', q.delayed, '(' .. limit, '+inf', 'WITHSCORES', 'LIMIT', from, held and 100 or 1)
    for i = 1, #some, 2 do
      if not held or not call('ZSCORE', q.held, some[i]) then return math.floor(tonumber(some[i + 1]) / 4096) end
    end
    if not held or #some < 200 then return nil end
    last = some[#some]
  end
  return math.floor(tonumber(last) / 4096)
end

-- Move due jobs to the end of their rank; answers when the next one falls due. What stands for the next run of a schedule stays:
-- the scheduler turns it into a job.
local function promote_due(q)
  local limit = string.format('%.0f', (now + 1) * 4096 - 1)
  local due = call('ZRANGEBYSCORE', q.delayed, '-inf', limit, 'WITHSCORES', 'LIMIT', 0,
    meta(q).guarded and math.floor(PROMOTE / 2) or PROMOTE)
  for i = 1, #due, 2 do
    if is_slot(q, due[i]) then
      call('ZADD', q.delayed, due_score(q, now + HOLD_MS), due[i]) -- out of the way of those behind it
    else
      promote_one(q, due[i], due[i + 1])
    end
  end
  return next_due(q, limit)
end

-- The rate limit: how many may still start, and when the window ends that says so.
local function window(q)
  local m = meta(q)
  if not m.max then return nil, nil end
  local used = tonumber(call('GET', q.limiter) or nil)
  if not used then return m.max, nil end
  local left = call('PTTL', q.limiter)
  if left >= 0 then return m.max - used, now + left end
  local began = tonumber(call('HGET', q.state, 'window_at') or nil)
  if began and math.abs(now - began) < (m.duration or 1000) then return m.max - used, began + (m.duration or 1000) end
  call('DEL', q.limiter) -- over, or a counter without an end that nobody would ever reset
  return m.max, nil
end

local function count_starts(q, started)
  local m = meta(q)
  if not m.max or started == 0 then return end
  if call('INCRBY', q.limiter, started) == started then
    call('HSET', q.state, 'window_at', now)
    if not given then call('PEXPIRE', q.limiter, m.duration or 1000) end
  end
end

-- Take up to `count` ids out of the queue, best first: urgent ones, the list, the rest. Notes their `scores` when asked to.
local function pop(q, count, scores)
  local ids = {}
  local prioritized = call('ZCARD', q.prioritized)
  if prioritized > 0 then
    ids = call('ZRANGEBYSCORE', q.prioritized, '-inf', string.format('(%.17g', (URGENT + 1) * PRIORITY), 'LIMIT', 0, count)
    for i = 1, scores and #ids or 0 do scores[ids[i]] = tonumber(call('ZSCORE', q.prioritized, ids[i])) end
    if #ids > 0 then call('ZREM', q.prioritized, unpack(ids)) end
  end
  if #ids < count then
    local plain = call('RPOP', q.wait, count - #ids)
    if plain then
      for _, id in ipairs(plain) do ids[#ids + 1] = id end
    end
  end
  if #ids < count and prioritized > 0 then
    local rest = call('ZPOPMIN', q.prioritized, count - #ids)
    for i = 1, #rest, 2 do
      ids[#ids + 1] = rest[i]
      if scores then scores[rest[i]] = tonumber(rest[i + 1]) end
    end
  end
  return ids
end

-- Put the last of those that were popped back where they stood.
local function put_back(q, ids, from, scores)
  for i = #ids, from, -1 do
    local id = ids[i]
    if scores[id] then call('ZADD', q.prioritized, scores[id], id) else call('RPUSH', q.wait, id) end
    ids[i] = nil
  end
end

-- How many jobs of each capped name run. Node's are counted too, so this asks the jobs themselves.
local function running_by_name(q)
  local running = {}
  for _, id in ipairs(call('LRANGE', q.active, 0, -1)) do
    local name = redis.pcall('HGET', q.base .. id, 'name')
    if type(name) == 'string' then running[name] = (running[name] or 0) + 1 end
  end
  return running
end

-- Whether a job is past its time.
local function is_over(seen) return seen.exp and tonumber(seen.exp) and tonumber(seen.exp) <= now end

-- Why a job that came out of the queue does not run; nil when it does.
local function pass_over(q, id, fields, seen)
  if fields.err then -- the key is not a hash
    set_apart(q, id)
  elseif #fields == 0 or string.sub(id, 1, 2) == '0:' then -- nothing behind the id, or a marker of BullMQ 4
    return 'orphan'
  elseif seen.defa and not seen.mild then
    fail_stored(q, id, seen.defa, 'waiting')
  elseif is_over(seen) then
    tell(q, 'expired', 'jobId', id, 'name', seen.name or '')
    fail_stored(q, id, 'expired', 'waiting')
  else
    return nil
  end
  return 'ended'
end

-- Choose up to `count` jobs. Also answers whether it stopped after passing over many although more wait.
local function choose(q, count)
  local chosen, passed, base = {}, 0, q.base
  local limits = caps(q)
  local running, scores = limits and running_by_name(q), limits and {} or nil
  while #chosen < count do
    local ids = pop(q, count - #chosen, scores)
    if #ids == 0 then return chosen, false end
    for i = 1, #ids do
      local id = ids[i]
      local fields = redis.pcall('HGETALL', base .. id)
      local seen = fields.err and {} or glance(fields)
      local name = seen.name or ''
      -- One that fails here makes room for the next of its name that is set aside, which may stand before the others.
      local ends = limits and limits[name] and (seen.defa or is_over(seen))
      if ends then put_back(q, ids, i + 1, scores) end
      if pass_over(q, id, fields, seen) then
        passed = passed + 1
      elseif limits and limits[name] and (running[name] or 0) >= limits[name] then
        hold(q, id, seen, scores[id])
        passed = passed + 1
      else
        if limits then running[name] = (running[name] or 0) + 1 end
        if seen.hold then release_hold(q, id) end -- a Node worker had promoted it
        if seen.exp or seen.hold or seen.cancel then call('HDEL', base .. id, 'exp', 'hold', 'cancel') end
        chosen[#chosen + 1] = { id, seen.ats and whole(seen.ats) + 1 or 1, told(q, id, fields), name }
      end
      if ends then break end
    end
    if passed >= PASS_OVER then return chosen, #chosen == 0 end
  end
  return chosen, false
end

-- The claim of a queue that has groups, holds or further windows; defined when it is needed.
local function take_guarded(q, wish)
  --! include lib/turns.lua
  return take_in_turns(q, wish)
end

-- Claim; answers { jobs = { { id, ats, { field, value … } } }, next_at, freed_at, held_until, paused }.
local function take(q, wish)
  local m = meta(q)
  if m.paused then return { paused = true, jobs = {}, now = now } end
  if m.guarded then return take_guarded(q, wish) end
  local next_at = promote_due(q)
  if m.guarded then return take_guarded(q, wish) end -- the first job of a group has come in
  local left, ends = window(q)
  local count = math.min(wish.count, 256, left or 256, m.concurrency and m.concurrency - call('LLEN', q.active) or 256)
  local chosen, more = {}, false
  if count > 0 then chosen, more = choose(q, count) end
  local held_until
  if #chosen > 0 then
    start(q, wish, chosen)
    count_starts(q, #chosen)
    if left and not ends then ends = now + (m.duration or 1000) end
  end
  if left and left - #chosen <= 0 then held_until = ends end
  if #chosen > 0 then
    if ready_count(q) == 0 then tell(q, 'emptied') else wake(q) end
  end
  if more then
    wake(q)
    held_until = held_until or now
  end
  return { jobs = chosen, next_at = next_at, held_until = held_until, now = now }
end

-- The jobs of an earlier claim again, as far as they are still its own.
local function taken(q, ids, token)
  local jobs = {}
  for _, id in ipairs(ids) do
    if call('GET', q.base .. id .. ':lock') == token then
      local fields = call('HGETALL', q.base .. id)
      jobs[#jobs + 1] = { id, whole(call('HGET', q.base .. id, 'ats')), told(q, id, fields) }
    end
  end
  return jobs
end

local function from_note(q, note, token)
  return { jobs = taken(q, note.ids, token), now = now, next_at = note.next_at, freed_at = note.freed_at, held_until = note.held_until,
    paused = note.paused }
end

-- What a turn answered the first time.
local function again(note)
  local claimed = note.claimed and from_note(queue, note.claimed, req.claim.token)
  return cmsgpack.pack({ refused = note.refused, claimed = claimed or nil })
end

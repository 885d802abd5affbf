-- lib/limits.lua - what bounds a queue beside BullMQ's own limit, and what changes a group. Included by lib/groups.lua.

local FREED = 200 -- groups and names looked at per call when their time has come
local HEALED = 100 -- groups, and four times as many jobs, looked at by each recover
local LIMITER_FULL = '9007199254740991' -- what BullMQ's own manual limit puts into `limiter`

-- The hold of a queue and its further windows, as claims need them.
local function queue_limits(q)
  local f = call('HMGET', q.settings, 'more', 'name_limits', 'hold_until', 'hold_probe')
  local more = f[1] and cjson.decode(f[1]) or {}
  return {
    more = more, windows = #more > 0 and read_windows(call('HGET', q.windows, 'q')) or {},
    names = f[2] and cjson.decode(f[2]) or nil, held_until = tonumber(f[3] or nil), probe = f[4] and true or false,
  }
end

-- Node's workers obey a hold as their own manual limit, when the queue has a limit. A longer window stays: it holds them as well.
local function tell_node(q, ends)
  if not meta(q).max or given then return end
  if ends and call('PTTL', q.limiter) < ends - now then
    call('SET', q.limiter, LIMITER_FULL, 'PX', digits_of(math.max(1, ends - now)))
  elseif not ends and call('GET', q.limiter) == LIMITER_FULL then
    call('DEL', q.limiter)
  end
end

-- Hold the queue until then, or lift its hold.
local function hold_queue(q, ends, reason, probe)
  call('HDEL', q.settings, 'hold_until', 'hold_reason', 'hold_probe')
  tell_node(q, nil)
  if ends then
    guard(q)
    call('HSET', q.settings, 'hold_until', digits_of(ends), 'hold_reason', reason)
    if probe then call('HSET', q.settings, 'hold_probe', 1) end
    tell_node(q, ends)
  end
end

local function write_own(q, g)
  guard(q)
  if next(g.own) == nil then
    call('HDEL', q.group_settings, g.gid)
  else
    rawget(q, 'groups_known')[true] = true
    call('HSET', q.group_settings, g.gid, cjson.encode(g.own))
    call('ZADD', q.groups, 0, g.gid)
  end
end

local function hold_group(g, ends, reason, probe)
  g.own.held_until, g.own.reason, g.own.probe = ends, ends and reason or nil, ends and probe or nil
end

-- Settings of one group: { id, limits? | false, paused?, hold? = { for, reason, probe } | false }.
local function change_group(q, change)
  local g = group_of(q, change.id)
  if change.limits ~= nil then g.own.limits = change.limits and cjson.decode(change.limits) or nil end
  if change.paused ~= nil then g.own.paused = change.paused or nil end
  if change.hold then
    hold_group(g, now + change.hold['for'], change.hold.reason, change.hold.probe or nil)
  elseif change.hold == false then
    hold_group(g, nil)
  end
  write_own(q, g)
  regroup(q, change.id)
end

-- A run was told to wait: its group, or the queue, is held, and longer if it was. Answers until when.
local function limited(q, gid, after, reason)
  local ends = now + after
  if gid then
    local g = group_of(q, gid)
    ends = math.max(ends, g.own.held_until or 0)
    hold_group(g, ends, reason, g.own.probe)
    write_own(q, g)
    g.changed = true -- `settled` finds its place
  else
    local f = call('HMGET', q.settings, 'hold_until', 'hold_probe')
    ends = math.max(ends, whole(f[1]))
    hold_queue(q, ends, reason, f[2])
  end
  return ends
end

-- The rates that come with a new job are its group's own from then on.
local function set_rates(q, gid, rates)
  local g = group_of(q, gid)
  local own = g.own.limits or {}
  if cjson.encode(own.rates or {}) == cjson.encode(rates) then return end
  own.rates = rates
  g.own.limits = own
  write_own(q, g)
  regroup(q, gid)
end

-- Whether a new job waits in its group from the beginning.
local function waits_at_once(job)
  return not (job.children or job.after) and (job.at or now + (job.delay or 0)) <= now
end

-- Whether a job will be a new one: it is not there already, nor kept out.
local function comes_in(q, job, coming)
  if job.dedup and call('EXISTS', q.base .. 'de:' .. job.dedup.id) == 1 then return false end
  if not job.id then return true end
  local key = q.base .. job.id
  if coming[key] or call('EXISTS', key) == 1 then return false end
  coming[key] = true
  return true
end

-- Which group some new jobs would make too large; nil when none.
local function refusal(jobs)
  local wanted, coming = {}, {}
  for _, job in ipairs(jobs) do
    local q = queue_named(job.queue)
    if not job.group then
      if job.id and not job.dedup then coming[q.base .. job.id] = true end
    elseif comes_in(q, job, coming) then
      local size = limits_of(q, group_of(q, job.group)).max_size
      if size then
        local key = job.queue .. '\0' .. job.group
        wanted[key] = wanted[key] or waiting(q, job.group) + set_aside_of(q, job.group)
        if wanted[key] >= size then return { full_group = { queue = job.queue, group = job.group, size = size } } end
        if waits_at_once(job) then wanted[key] = wanted[key] + 1 end
      end
    end
  end
  return nil
end

-- Let in whom only time held back: groups, and one job for each start that a name may have again. `all`: whatever the time says.
-- Answers how many jobs came back. The rest is for the next call: 10,000 of a blocked group would take half a second.
local function free(q, all)
  local last = all and '(inf' or now_text
  for _, gid in ipairs(call('ZRANGEBYSCORE', q.blocked, '-inf', last, 'LIMIT', 0, FREED)) do regroup(q, gid) end
  local names = call('ZRANGEBYSCORE', q.freed, '-inf', last, 'LIMIT', 0, FREED)
  if #names == 0 then return 0 end
  call('ZREM', q.freed, unpack(names))
  local limits, moved = queue_limits(q).names or {}, 0
  for _, name in ipairs(names) do
    local windows = read_windows(call('HGET', q.windows, 'n:' .. name))
    if not window_text(windows) then call('HDEL', q.windows, 'n:' .. name) end
    local room, more = room_in(windows, limits[name]), true
    for _ = 1, math.min(FREED, room) do
      if not more or moved >= FREED then break end
      local back, count = unhold_one(q, name)
      more, moved = back, moved + count
    end
    if more and (room == 0 or room > FREED or moved >= FREED) then
      call('ZADD', q.freed, digits_of(full_until(windows, limits[name]) or now), name)
    end
  end
  return moved
end

-- What remains of groups whose last window is over.
local function forget_idle(q)
  for _, gid in ipairs(call('ZRANGEBYSCORE', q.idle, '-inf', now_text, 'LIMIT', 0, FREED)) do
    call('ZREM', q.idle, gid)
    regroup(q, gid)
  end
end

-- A stretch of a list that is gone through by and by; `field` remembers where the next call goes on.
local function stretch(q, field, key, count)
  local from = whole(call('HGET', q.state, field))
  local some = call('ZRANGE', key, from, from + count - 1)
  if #some < count then
    if from > 0 then call('HDEL', q.state, field) end
  else
    call('HSET', q.state, field, from + count)
  end
  return some
end

-- Node's workers and tools know nothing of groups: what they have done meanwhile is found bit by bit.
local function heal(q, is_running)
  local touched = {}
  for _, member in ipairs(stretch(q, 'heal_busy', q.busy, HEALED)) do
    local nul = string.find(member, '\0', 1, true)
    if not is_running(string.sub(member, nul + 1)) then
      call('ZREM', q.busy, member)
      touched[string.sub(member, 1, nul - 1)] = true
    end
  end
  for _, member in ipairs(stretch(q, 'heal_grouped', q.grouped, 4 * HEALED)) do
    local gid, id = split(member)
    if whole(call('ZSCORE', q.children, id)) < IN_GROUP then
      call('ZREM', q.grouped, member)
      touched[gid] = true
    end
  end
  for _, gid in ipairs(stretch(q, 'heal_groups', q.groups, HEALED)) do touched[gid] = true end
  for gid in pairs(touched) do regroup(q, gid) end
  forget_idle(q)
end

-- The queue is an ordinary one again when nothing is left of what made it another.
local function unguard(q)
  if call('EXISTS', q.groups, q.grouped, q.busy, q.idle, q.aside, q.freed, q.group_settings) > 0 then return end
  local f = call('HMGET', q.settings, 'more', 'name_limits', 'hold_until', 'hold_probe')
  if f[1] or f[2] or f[4] or whole(f[3]) > now then return end
  call('HDEL', q.base .. 'meta', 'corral')
  call('DEL', q.windows)
  call('HDEL', q.state, 'turn', 'plain_turn', 'group_fronts', 'group_ends')
  meta(q).guarded = false
end

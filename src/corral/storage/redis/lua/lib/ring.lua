-- lib/ring.lua - groups of jobs, which are served in turn. Included by lib/groups.lua, inside of a function.
--
-- All waiting jobs of all groups are in one sorted set of equal scores, `grouped`, whose members sort as they will be served:
-- group, NUL, place (rank and number, 23 digits), id. So the best of a group, its size, its jobs' ranks and any stretch of all of
-- them cost O(log n), and a group that has no jobs has no keys. `aside` has those that are set aside for their name, in the same
-- form; `busy` has running ones as group, NUL, id.
--
-- A group with waiting jobs is in `ring` (score: its tag) or, when it may not be served, in `blocked` (score: until when, or inf).
-- Virtual time: the smallest tag is served (ties: by id) and goes back one higher; `turn` is the tag that was served last, and who
-- comes in gets the next one. Nobody gains by having been away.

local DIGITS = 23
local MIDDLE = 4503599627370496 -- numbers of places: up from here at the end, down from here at the front

local function digits_of(number) return string.format('%.0f', number) end
local function range_of(gid) return '[' .. gid .. '\0', '(' .. gid .. '\1' end
local function member_of(gid, place, id) return gid .. '\0' .. place .. id end

-- The group and the id in a member of `grouped` or `aside`.
local function split(member)
  local nul = string.find(member, '\0', 1, true)
  return string.sub(member, 1, nul - 1), string.sub(member, nul + 1 + DIGITS)
end

-- From now on claims look behind the door.
local function guard(q)
  if meta(q).guarded then return end
  meta(q).guarded = true
  call('HSET', q.base .. 'meta', 'corral', 1)
end

local function running(q, gid)
  local from, to = range_of(gid)
  return call('ZLEXCOUNT', q.busy, from, to)
end

local function waiting(q, gid)
  local from, to = range_of(gid)
  return call('ZLEXCOUNT', q.grouped, from, to)
end

local function set_aside_of(q, gid)
  local from, to = range_of(gid)
  return call('ZLEXCOUNT', q.aside, from, to)
end

--! include lib/windows.lua

-- What is known of a group: its own settings and its windows, read once a call.
local function group_of(q, gid)
  local known = rawget(q, 'groups_known')
  if not known then
    known = {} -- under `true`: whether any group has settings
    rawset(q, 'groups_known', known)
  end
  local g = known[gid]
  if not g then
    if known[true] == nil then known[true] = call('EXISTS', q.group_settings) == 1 end
    local own = known[true] and call('HGET', q.group_settings, gid)
    g = { gid = gid, own = own and cjson.decode(own) or {}, started = 0 }
    known[gid] = g
  end
  return g
end

local function limits_of(q, g)
  if g.own.limits then return g.own.limits end
  local common = rawget(q, 'group_limits')
  if not common then
    local text = call('HGET', q.settings, 'group_limits')
    common = text and cjson.decode(text) or {}
    rawset(q, 'group_limits', common)
  end
  return common
end

local function windows_of(q, g)
  if not g.windows then g.windows = read_windows(call('HGET', q.windows, 'g:' .. g.gid)) end
  return g.windows
end

-- Read at once what a round needs of its groups.
local function foresee(q, gids)
  local fields, missing = {}, {}
  for _, gid in ipairs(gids) do
    local g = group_of(q, gid)
    if not g.windows and limits_of(q, g).rates then
      missing[#missing + 1] = g
      fields[#fields + 1] = 'g:' .. gid
    end
  end
  if #missing == 0 then return end
  local texts = call('HMGET', q.windows, unpack(fields))
  for i, g in ipairs(missing) do g.windows = read_windows(texts[i]) end
end

-- How many of its jobs run; those that a claim has chosen are written down at its end.
local function running_of(q, g)
  if not g.running then g.running = running(q, g.gid) end
  return g.running + g.started
end

local function full_of(q, g)
  local rates = limits_of(q, g).rates
  return rates and full_until(windows_of(q, g), rates)
end

-- Until when a group may not be served: a time, or infinity when something else has to happen; nil when it may.
local function blocked_until(q, g)
  local own, limits = g.own, limits_of(q, g)
  if own.paused or (limits.concurrency and running_of(q, g) >= limits.concurrency) then return math.huge end
  if own.held_until then
    if own.held_until > now then return math.max(own.held_until, full_of(q, g) or 0) end
    if own.probe and running_of(q, g) > 0 then return math.huge end
  end
  return full_of(q, g)
end

local function turn_of(q)
  local turn = rawget(q, 'turn_now')
  if not turn then
    turn = whole(call('HGET', q.state, 'turn'))
    rawset(q, 'turn_now', turn)
  end
  return turn
end

local function enter(q, gid)
  call('ZADD', q.ring, turn_of(q) + 1, gid)
  wake(q)
end

-- A group has nothing waiting: it has no place in the ring, and if there is nothing else either it leaves no trace.
local function rest(q, g)
  local gid = g.gid
  call('ZREM', q.ring, gid)
  call('ZREM', q.blocked, gid)
  if next(g.own) ~= nil or running_of(q, g) > 0 or set_aside_of(q, gid) > 0 then
    call('ZADD', q.groups, 0, gid)
    return
  end
  call('ZREM', q.groups, gid)
  local last = open_until(windows_of(q, g))
  if last then
    call('ZADD', q.idle, last, gid)
  else
    call('HDEL', q.windows, 'g:' .. gid)
    call('ZREM', q.idle, gid)
  end
end

local function block(q, gid, at) call('ZADD', q.blocked, at == math.huge and '+inf' or digits_of(at), gid) end

-- Put a group where it belongs after something about it has changed.
local function regroup(q, gid)
  local g = group_of(q, gid)
  g.running, g.placed = nil, nil
  if waiting(q, gid) == 0 then return rest(q, g) end
  call('ZADD', q.groups, 0, gid)
  local at = blocked_until(q, g)
  if at then
    call('ZREM', q.ring, gid)
    block(q, gid, at)
  else
    call('ZREM', q.blocked, gid)
    if call('ZSCORE', q.ring, gid) then wake(q) else enter(q, gid) end
  end
  g.placed = at and 'blocked' or 'ring'
end

-- A job has come into a group, which changes nothing for a group that waits already.
local function arrive(q, gid)
  local g = group_of(q, gid)
  if not g.placed then
    if call('ZSCORE', q.ring, gid) then
      g.placed = 'ring'
    elseif call('ZSCORE', q.blocked, gid) then
      g.placed = 'blocked'
    else
      local at = blocked_until(q, g)
      if at then block(q, gid, at) else enter(q, gid) end
      if at and at < math.huge then wake(q) end -- who sleeps has to learn when its time comes
      call('ZADD', q.groups, 0, gid)
      g.placed = at and 'blocked' or 'ring'
    end
  end
  if g.placed == 'ring' then wake(q) end
end

-- Put a job into its group, at a place that it has had before; answers whether the group is blocked.
local function put_at(q, id, gid, place)
  guard(q)
  call('ZADD', q.grouped, 0, member_of(gid, place, id))
  call('ZADD', q.children, digits_of(now + IN_GROUP), id)
  arrive(q, gid)
  return group_of(q, gid).placed == 'blocked'
end

-- Put a job into its group, at the end of its rank there or before all others of it.
local function put(q, id, priority, gid, in_front)
  local number = call('HINCRBY', q.state, in_front and 'group_fronts' or 'group_ends', 1)
  local place = string.format('%07d%016.0f', rank_of(priority), MIDDLE + (in_front and -number or number))
  call('HSET', q.base .. id, 'gat', place)
  put_at(q, id, gid, place)
end

-- Take waiting jobs out of their groups: those with these ids, or with these members (whose jobs may be gone).
local function withdraw(q, ids, members)
  local touched = {}
  for i, id in ipairs(ids) do
    local member, gid = members and members[i], nil
    if not member then
      local job = call('HMGET', q.base .. id, 'gid', 'gat')
      if job[1] and job[2] then member = member_of(job[1], job[2], id) end
    end
    call('ZREM', q.children, id)
    if member then
      gid = split(member)
      call('ZREM', q.grouped, member)
      touched[gid] = true
    end
  end
  for gid in pairs(touched) do regroup(q, gid) end
end

-- Jobs that run no longer: their groups get a free slot. `settled` comes when it is clear where the jobs went.
local function leave(q, ids)
  local touched, members = rawget(q, 'groups_left') or {}, {}
  rawset(q, 'groups_left', touched)
  for _, id in ipairs(ids) do
    local gid = redis.pcall('HGET', q.base .. id, 'gid')
    if type(gid) == 'string' then
      members[#members + 1] = gid .. '\0' .. id
      group_of(q, gid).running = nil
      touched[gid] = true
    end
  end
  if #members > 0 then call('ZREM', q.busy, unpack(members)) end
end

-- A group that is in the ring has a slot more than it needs: nothing changes.
local function settled(q)
  for gid in pairs(rawget(q, 'groups_left') or {}) do
    if group_of(q, gid).changed or not call('ZSCORE', q.ring, gid) then regroup(q, gid) end
  end
  rawset(q, 'groups_left', nil)
  -- Others sleep while the one job runs that follows a hold.
  if call('HEXISTS', q.settings, 'hold_probe') == 1 and ready_count(q) > 0 then wake(q) end
end

-- Set a job aside for its name; like others in `held` and `delayed`, but it keeps its place in its group.
local function set_aside(q, id, gid, name, due)
  local priority, place = unpack(call('HMGET', q.base .. id, 'priority', 'gat'))
  if not place then
    place = string.format('%07d%016.0f', rank_of(whole(priority)), MIDDLE - call('HINCRBY', q.state, 'group_fronts', 1))
    call('HSET', q.base .. id, 'gat', place)
  end
  call('HSETNX', q.state, 'fronts', 0)
  local score = PLAIN + call('HINCRBY', q.state, 'holds', 1)
  call('ZADD', q.aside, 0, member_of(gid, place, id))
  call('ZADD', q.held, score, id)
  call('ZADD', q.held .. ':' .. name, score, id)
  call('ZADD', q.delayed, due_score(q, due), id)
end

-- It is set aside no longer. Where it goes is said by the caller.
local function come_back(q, id, gid, place)
  if place then call('ZREM', q.aside, member_of(gid, place, id)) end
end

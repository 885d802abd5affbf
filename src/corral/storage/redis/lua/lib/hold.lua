-- lib/hold.lua - jobs that are set aside because their name is at its cap.
--
-- They stand in BullMQ's `delayed`, so that Node sees them and nothing is ever stuck: if nobody serves them before, they come
-- back by themselves after a minute. `held` (all) and `held:<name>` have their places in the serving order.

local HOLD_MS = 60000
local IN_LINE = 100 -- so many jobs at the front are looked at for the place of one that comes back

-- How many of each name may run at a time; nil when there are no caps.
local function caps(q)
  local known = rawget(q, 'caps')
  if known == nil then
    local text = call('HGET', q.settings, 'names')
    known = text and cjson.decode(text) or false
    q.caps = known
  end
  return known or nil
end

-- The place that a job has noted; nil when there is none, or its priority has changed since.
local function noted_place(text, priority)
  local place = tonumber(text or nil)
  return place and math.floor(place / PRIORITY) == rank_of(priority) and place or nil
end

-- Set a job aside, that stood at `score` if it was prioritized. It keeps its place, also when it is set aside again.
local function hold(q, id, job, score, due)
  local priority = whole(job.priority)
  local place = noted_place(job.hold, priority)
  if not place and priority == 0 then
    call('HSETNX', q.state, 'fronts', 0)
    place = PLAIN + call('HINCRBY', q.state, 'holds', 1)
  elseif not place then
    place = place_at(priority, score or priority * PRIORITY + next_counter(q))
  end
  call('HSET', q.base .. id, 'hold', string.format('%.0f', place))
  call('ZADD', q.held, place, id)
  call('ZADD', q.held .. ':' .. (job.name or ''), place, id)
  call('ZADD', q.delayed, due_score(q, due or now + HOLD_MS), id)
end

-- Forget that a job was set aside; true when it was.
local function release_hold(q, id)
  if call('ZREM', q.held, id) == 0 then return false end
  local job = redis.pcall('HMGET', q.base .. id, 'name', 'gid', 'gat')
  if job[1] then call('ZREM', q.held .. ':' .. job[1], id) end
  if job[2] then grouping().come_back(q, id, job[2], job[3]) end
  return true
end

-- Put a job back into the list, behind those at the front whose places are better.
local function put_in_line(q, id, place)
  local list, better = ready_list(q), {}
  for i = 1, IN_LINE do
    local other = call('LINDEX', list, -i)
    local at = other and redis.pcall('HGET', q.base .. other, 'hold')
    at = at and not at.err and tonumber(at)
    if not at or at > place then break end
    better[i] = other
  end
  if #better > 0 then call('RPOP', list, #better) end
  call('RPUSH', list, id)
  for i = #better, 1, -1 do call('RPUSH', list, better[i]) end
  wake(q)
end

-- Serve a job again, that was set aside, where it stood; false when there is no such job.
local function put_where_it_stood(q, id)
  local job = redis.pcall('HMGET', q.base .. id, 'name', 'priority', 'hold', 'gid', 'gat')
  if job.err then call('SADD', q.quarantine, id) end
  if not (job[1] or job[2]) then return false end
  local priority = whole(job[2])
  if job[4] then
    if job[5] then return true, grouping().put_at(q, id, job[4], job[5]) end
    put_ready(q, id, priority, true, job[4])
    return true
  end
  local place = noted_place(job[3], priority)
  if not place then
    put_ready(q, id, priority, true)
  elseif priority == 0 then
    put_in_line(q, id, place)
  else
    call('ZADD', q.prioritized, score_at(priority, place), id)
    wake(q)
  end
  return true
end

-- The same for one that is set aside still; false also when a Node worker has served it meanwhile.
local function put_held(q, id)
  release_hold(q, id)
  if call('ZREM', q.delayed, id) == 0 then return false end
  return put_where_it_stood(q, id)
end

-- Serve the first job of a name that is set aside; false when none is. One whose group is blocked uses no room: the next one, too.
-- Also answers how many came back.
unhold_one = function(q, name)
  for count = 1, 100 do
    local id = call('ZRANGE', q.held .. ':' .. name, 0, 0)[1]
    if not id then return false, count - 1 end
    local back, is_blocked = put_held(q, id)
    if back and not is_blocked then return true, count end
    if not back then call('ZREM', q.held .. ':' .. name, id) end
  end
  return true, 100
end

-- A job of this name ran, or left the queue, and made room. One too many does no harm: it is set aside once more.
local function unhold(q, name)
  local limits = caps(q)
  if limits and name and limits[name] then unhold_one(q, name) end
end

-- A job left whose name nobody knows any more.
local function unhold_all(q)
  for name in pairs(caps(q) or {}) do unhold(q, name) end
end

-- A Node worker serves held jobs that nobody of ours made room for in time. Some are looked at now and then.
local function drop_stale_holds(q)
  if call('ZCARD', q.held) == 0 then return end
  for _, id in ipairs(call('ZRANDMEMBER', q.held, 100)) do
    if not call('ZSCORE', q.delayed, id) then release_hold(q, id) end
  end
end

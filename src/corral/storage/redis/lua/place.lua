-- place.lua - how many jobs stand before a waiting or delayed one.
--
-- Keys     wait paused prioritized delayed waiting-children active completed failed <id>; own: held aside grouped ring blocked schedules
-- Request  { queue, prefix, id }
-- Reply    { ahead, exact, groups } | false: it neither waits nor is delayed
-- Events   none
-- BullMQ   reads its containers; nothing is written
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/place.lua
--! include lib/slot.lua
--! include lib/locate.lua

local FAR = 10000 -- list entries looked at: 0.1 ms; who stands further back is told that there are at least so many
local LOOK = 2000 -- entries asked one by one: 3 ms

local function told(ahead, exact, groups) return { ahead = ahead, exact = exact, groups = groups or 0 } end

local function below(key, score) return call('ZCOUNT', key, '-inf', string.format('(%.17g', score)) end

-- Jobs that are set aside from places before this one, those of groups left out.
local function aside_before(place)
  local some = call('ZRANGEBYSCORE', queue.held, '-inf', string.format('(%.17g', place), 'LIMIT', 0, LOOK)
  if call('EXISTS', queue.aside) == 0 then return #some < LOOK and #some or below(queue.held, place), true end
  local count = 0
  for _, id in ipairs(some) do
    if call('HEXISTS', queue.base .. id, 'gid') == 0 then count = count + 1 end
  end
  return count, #some < LOOK
end

local function in_lists()
  return call('LLEN', queue.wait) + call('LLEN', queue.paused)
end

local function before_prioritized(score)
  local priority = math.floor(score / PRIORITY)
  local aside, exact = aside_before(place_at(priority, score))
  return told(below(queue.prioritized, score) + aside + (priority > URGENT and in_lists() or 0), exact)
end

local function before_listed(id)
  local urgent = below(queue.prioritized, (URGENT + 1) * PRIORITY)
  local ahead, found = 0, nil
  for _, key in ipairs({ queue.paused, queue.wait }) do
    found = call('LPOS', key, id, 'RANK', -1, 'MAXLEN', FAR)
    if found then
      ahead = ahead + call('LLEN', key) - 1 - found
      break
    end
    ahead = ahead + call('LLEN', key)
  end
  if not found then return told(math.min(ahead, FAR) + urgent, false) end
  -- Those that are set aside stand before it, unless it went to the front after they were.
  local noted = call('HEXISTS', queue.state, 'fronts') == 1 and tonumber(call('HGET', queue.base .. id, 'hold') or nil)
  local aside, exact = aside_before(noted or (URGENT + 1) * PRIORITY)
  return told(ahead + urgent + aside, exact)
end

local function before_held(id)
  local place = tonumber(call('ZSCORE', queue.held, id))
  local aside, exact = aside_before(place)
  local rank = math.floor(place / PRIORITY)
  if rank > URGENT then return told(below(queue.prioritized, place) + in_lists() + aside, exact) end
  return told(below(queue.prioritized, rank == URGENT and (URGENT + 1) * PRIORITY or place + PRIORITY) + aside, exact)
end

local function in_group(gid, gat, id)
  local groups = grouping()
  local member, from = gid .. '\0' .. gat .. id, groups.range_of(gid)
  local ahead = call('ZLEXCOUNT', queue.grouped, from, '(' .. member) + call('ZLEXCOUNT', queue.aside, from, '(' .. member)
  return told(ahead, true, math.max(1, call('ZCARD', queue.ring) + call('ZCARD', queue.blocked)))
end

-- Delayed jobs; what is only set aside, or stands for a schedule, is none.
local function before_delayed(id)
  local rank = call('ZRANK', queue.delayed, id)
  if call('EXISTS', queue.held, queue.schedules) == 0 then return told(rank, true) end
  local ahead = 0
  for _, other in ipairs(call('ZRANGE', queue.delayed, 0, math.min(rank, LOOK) - 1)) do
    if not call('ZSCORE', queue.held, other) and not is_slot(queue, other) then ahead = ahead + 1 end
  end
  return told(ahead, rank <= LOOK)
end

local function find(id)
  local job = redis.pcall('HMGET', queue.base .. id, 'name', 'timestamp', 'gid', 'gat')
  if job.err or not (job[1] and job[2]) then return false end
  local where, score = locate(queue, id)
  if where == 'grouped' then return in_group(job[3], job[4], id) end
  if where == 'held' then return job[3] and in_group(job[3], job[4], id) or before_held(id) end
  if where == 'prioritized' then return before_prioritized(score) end
  if where == 'delayed' then return not is_slot(queue, id) and before_delayed(id) end
  return where == 'waiting' and before_listed(id)
end

return reply(find(req.id))

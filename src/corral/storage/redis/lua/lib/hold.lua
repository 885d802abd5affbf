-- lib/hold.lua - jobs that are set aside because their name is at its cap.
--
-- They stand in BullMQ's `delayed`, so that Node sees them and nothing is ever stuck: if nobody serves them before, they come
-- back by themselves after a minute. `held` (all) and `held:<name>` have their places in the serving order.

local HOLD_MS = 60000

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

-- The place of a waiting job among all of them.
local function place_of(q, id, priority)
  if priority == 0 then return (URGENT + 1) * PRIORITY + call('HINCRBY', q.state, 'holds', 1) % PRIORITY end
  local score = tonumber(call('ZSCORE', q.prioritized, id) or nil) or priority * PRIORITY + next_counter(q)
  return priority <= URGENT and score or score + PRIORITY
end

-- Set a job aside. It keeps its place, also when it is set aside again.
local function hold(q, id, job, place)
  place = tonumber(job.hold or nil) or place
  call('HSET', q.base .. id, 'hold', string.format('%.0f', place))
  call('ZADD', q.held, place, id)
  call('ZADD', q.held .. ':' .. job.name, place, id)
  call('ZADD', q.delayed, due_score(q, now + HOLD_MS), id)
end

-- Forget that a job was set aside; true when it was.
local function release_hold(q, id)
  if call('ZREM', q.held, id) == 0 then return false end
  local name = call('HGET', q.base .. id, 'name')
  if name then call('ZREM', q.held .. ':' .. name, id) end
  return true
end

-- Serve a job that was set aside again; false when a Node worker has done so meanwhile.
local function put_held(q, id, priority)
  release_hold(q, id)
  if call('ZREM', q.delayed, id) == 0 then return false end
  put_ready(q, id, priority, true)
  return true
end

-- A job of this name ran, or left the queue, and made room. One too many does no harm: it is set aside once more.
local function unhold(q, name)
  local limits = caps(q)
  if not (limits and name and limits[name]) then return end
  for _ = 1, 100 do
    local id = call('ZRANGE', q.held .. ':' .. name, 0, 0)[1]
    if not id or put_held(q, id, tonumber(call('HGET', q.base .. id, 'priority') or nil) or 0) then return end
    call('ZREM', q.held .. ':' .. name, id)
  end
end

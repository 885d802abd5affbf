-- lib/place.lua - where pending jobs stand: `wait` (list, served from its tail), `prioritized` and `delayed` (sorted sets), their
-- groups.
--! include lib/ready.lua

local PRIORITY = 4294967296 -- 2^32 counter values for each priority
local URGENT = 1000000 -- priorities up to here are served before `wait`, the others after it
local FIRST_COUNTER = 2147483648 -- where the counter starts, so that there is room in front

local function next_counter(q)
  local counter = call('INCR', q.pc)
  if counter == 1 then
    counter = FIRST_COUNTER
    call('SET', q.pc, counter)
  end
  return counter % PRIORITY
end

-- Jobs of a lower rank are served first. A waiting job's place among all others, also those that are set aside, is its score in
-- `prioritized` with the rank in the priority's stead; the jobs of the lists have the rank between urgent and later ones.
local PLAIN = URGENT * PRIORITY + FIRST_COUNTER

local function rank_of(priority)
  if priority == 0 then return URGENT end
  return priority <= URGENT and priority - 1 or priority
end

local function place_at(priority, score) return score + (rank_of(priority) - priority) * PRIORITY end
local function score_at(priority, place) return place - (rank_of(priority) - priority) * PRIORITY end

local function first_of(key, from)
  local first = call('ZRANGEBYSCORE', key, from, from + PRIORITY - 1, 'WITHSCORES', 'LIMIT', 0, 1)
  return tonumber(first[2] or nil)
end

-- The place before all others of a priority.
local function front_score(q, priority)
  local low = priority * PRIORITY
  local ready, aside = first_of(q.prioritized, low), first_of(q.held, place_at(priority, low))
  if not (ready or aside) then return low + next_counter(q) end
  return math.max(low, math.min(ready or math.huge, aside and score_at(priority, aside) or math.huge) - 1)
end

-- A list has no places. Once jobs were set aside, those that go to its front note theirs, or nobody could say who was first.
local function note_front(q, id)
  local counts = rawget(q, 'counts_fronts')
  if counts == nil then
    counts = call('HEXISTS', q.state, 'fronts') == 1
    q.counts_fronts = counts
  end
  if counts then call('HSET', q.base .. id, 'hold', string.format('%.0f', PLAIN - call('HINCRBY', q.state, 'fronts', 1))) end
end

-- Put a job at the end of its rank, or before all others of it; one of a group into its group.
local function put_ready(q, id, priority, in_front, gid)
  if gid then return grouping().put(q, id, priority, gid, in_front) end
  if priority == 0 then
    if in_front then note_front(q, id) end
    call(in_front and 'RPUSH' or 'LPUSH', ready_list(q), id)
  else
    call('ZADD', q.prioritized, in_front and front_score(q, priority) or priority * PRIORITY + next_counter(q), id)
  end
  wake(q)
end

-- The score of a job due at a time: 4,096 places in a millisecond. The last one is kept: a bulk falls due at once.
local function due_score(q, due)
  local low, score = due * 4096, nil
  if rawget(q, 'last_due') == due then
    score = q.last_due_score + 1
  else
    local last = call('ZREVRANGEBYSCORE', q.delayed, low + 4095, low, 'WITHSCORES', 'LIMIT', 0, 1)
    score = last[2] and tonumber(last[2]) + 1 or low
  end
  q.last_due, q.last_due_score = due, math.min(score, low + 4095)
  return q.last_due_score
end

local function put_delayed(q, id, due)
  call('ZADD', q.delayed, due_score(q, due), id)
  q.later = true
end

-- Active jobs that go back, best first, each before all others of its rank.
local function put_back(q, jobs)
  for i = #jobs, 1, -1 do put_ready(q, jobs[i].id, jobs[i].priority, true, jobs[i].gid) end
end

-- Note in `meta`, which a Node program may delete, that there are caps for names or a limit for producers.
local function mark_bounds(q)
  local bounds = call('HMGET', q.settings, 'names', 'add_count')
  if bounds[1] or bounds[2] then call('HSET', q.base .. 'meta', 'corral:bounds', 1) end
end
--! include lib/groups.lua

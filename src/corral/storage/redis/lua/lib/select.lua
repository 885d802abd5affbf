-- lib/select.lua - which jobs a command means: these ids, or the first of some states. Those found are out of their container
-- when they are answered, but for active ones, which stay where they are.
--
-- Request  { ids } or { states, limit, name?, older?, beyond?, step?, skip? }; `states` are also those that ids may be in.
-- A call looks at a slice; `step` (the place) and `skip` (jobs there that stay) say where the next call goes on, `left` which of
-- the ids are still to do.

local LOOK = 1000 -- jobs looked at per call: 3 ms
local ACT = 150 -- jobs acted upon per call: 5 ms
local SEARCH = 150000 -- list entries searched for single ids per call: 6 ms
local GONE = '\0' -- put in the place of a list entry that is taken out

local PLACES = {
  waiting = { 'urgent', 'paused', 'wait', 'later', 'held', 'grouped' }, -- `paused` is where BullMQ 5 puts them
  delayed = { 'delayed' },
  active = { 'active' },
  ['waiting-children'] = { 'children' },
  completed = { 'completed' },
  failed = { 'failed' },
}
local STATES_OF = { children = 'waiting-children', urgent = 'waiting', held = 'waiting', grouped = 'waiting' }
local LISTS = { wait = true, paused = true, active = true }
local KEYS_OF = { urgent = 'prioritized', later = 'prioritized' }
local BOUND = string.format('%.0f', (URGENT + 1) * PRIORITY)
local FIELDS_SEEN = { 'name', 'timestamp', 'parentKey', 'deid', 'priority', 'then', 'fp', 'gid' }

local function look_at(q, id, state, place)
  local found = redis.pcall('HMGET', q.base .. id, unpack(FIELDS_SEEN))
  if found.err or not (found[1] or found[2]) then return nil end -- nothing behind the id, or something that is no job
  return {
    id = id, state = state, place = place, name = found[1] or '', timestamp = tonumber(found[2] or nil),
    parent = found[3] or nil, deid = found[4] or nil, priority = whole(found[5]),
    followed = found[6] or nil, fingerprint = found[7] or nil, gid = found[8] or nil,
  }
end

local function key_at(q, place) return q[KEYS_OF[place] or place] end

local function last_old(wish) return '(' .. string.format('%.0f', now - wish.older + 1) end

-- Ids of waiting jobs in groups, or of one group. Their members are noted: the jobs themselves may be gone.
local function entries_of_groups(q, wish, skip, count)
  if not meta(q).guarded then return {} end
  local members, ids = nil, {}
  if wish.group then
    local from, to = grouping().range_of(wish.group)
    members = call('ZRANGEBYLEX', q.grouped, from, to, 'LIMIT', skip, count)
  else
    members = call('ZRANGE', q.grouped, skip, skip + count - 1)
  end
  for i, member in ipairs(members) do
    local _, id = grouping().split(member)
    ids[i], q.members[id] = id, member
  end
  return ids
end

-- `count` ids of a place in its own order, from behind the first `skip`.
local function entries(q, wish, state, place, skip, count)
  local key = key_at(q, place)
  if LISTS[place] then
    local ids = call('LRANGE', key, -(skip + count), -(skip + 1))
    for i = 1, math.floor(#ids / 2) do ids[i], ids[#ids + 1 - i] = ids[#ids + 1 - i], ids[i] end
    return ids
  elseif place == 'grouped' then
    return entries_of_groups(q, wish, skip, count)
  elseif place == 'children' then
    return call('ZRANGEBYSCORE', key, '-inf', '(' .. string.format('%.0f', IN_GROUP), 'LIMIT', skip, count)
  elseif place == 'urgent' then
    return call('ZRANGEBYSCORE', key, '-inf', '(' .. BOUND, 'LIMIT', skip, count)
  elseif place == 'later' then
    return call('ZRANGEBYSCORE', key, BOUND, '+inf', 'LIMIT', skip, count)
  elseif wish.older and (state == 'completed' or state == 'failed') then
    return call('ZRANGEBYSCORE', key, '-inf', last_old(wish), 'LIMIT', skip, count)
  end
  return call('ZRANGE', key, skip, skip + count - 1)
end

local function take_from_list(key, picks)
  for _, pick in ipairs(picks) do call('LSET', key, -pick.index, GONE) end
  call('LREM', key, -#picks, GONE)
end

local function take_out(q, place, picks)
  if #picks == 0 or place == 'active' then return 0 end
  if LISTS[place] then
    take_from_list(key_at(q, place), picks)
    return #picks
  end
  local ids = {}
  for i, pick in ipairs(picks) do ids[i] = pick.id end
  if place == 'held' then
    for _, id in ipairs(ids) do release_hold(q, id) end
    call('ZREM', q.delayed, unpack(ids))
    for _, pick in ipairs(picks) do
      local gid = meta(q).guarded and redis.pcall('HGET', q.base .. pick.id, 'gid')
      if type(gid) == 'string' then grouping().regroup(q, gid) end
    end
  elseif place == 'grouped' then
    local members = {}
    for i, id in ipairs(ids) do members[i] = rawget(q, 'members') and q.members[id] or false end
    grouping().withdraw(q, ids, members)
  else
    call('ZREM', key_at(q, place), unpack(ids))
  end
  return #picks
end

local function is_meant(q, wish, job)
  if wish.name and job.name ~= wish.name then return false end
  if wish.group and job.gid ~= wish.group then return false end
  if wish.fingerprint and job.fingerprint ~= wish.fingerprint then return false end
  local ended = job.state == 'completed' or job.state == 'failed'
  if wish.older and not ended and (job.timestamp or 0) > now - wish.older then return false end
  if job.place == 'delayed' and call('ZSCORE', q.held, job.id) then return false end
  if job.place == 'held' and not call('ZSCORE', q.delayed, job.id) then return false end -- a Node worker has served it meanwhile
  return ended or not is_pending_run(q, job.id)
end

-- How many of a state there are, as far as that can be said without looking at each.
local function total_of(q, wish, state)
  if state == 'waiting' then return ready_count(q) + call('LLEN', q.paused) end
  if state == 'active' then return call('LLEN', q.active) end
  if wish.older then return call('ZCOUNT', q[state], '-inf', last_old(wish)) end
  if state == 'waiting-children' then return call('ZCOUNT', q.children, '-inf', '(' .. string.format('%.0f', IN_GROUP)) end
  return call('ZCARD', key_at(q, PLACES[state][1]))
end

-- Look at a slice of one place; answers how many were looked at and how many of those stay.
local function slice(q, wish, step, skip, found, most, limit)
  local picks, seen = {}, 0
  local ids = entries(q, wish, step.state, step.place, skip, most)
  for i, id in ipairs(ids) do
    if #found.jobs >= limit or (step.room and step.room <= 0) then break end
    seen = i
    local job = look_at(q, id, step.state, step.place)
    if job and is_meant(q, wish, job) then
      found.jobs[#found.jobs + 1] = job
      picks[#picks + 1] = { id = id, index = skip + i }
      if step.room then step.room = step.room - 1 end
    elseif not job and wish.orphans then
      picks[#picks + 1] = { id = id, index = skip + i }
    end
  end
  local taken = wish.count and 0 or take_out(q, step.place, picks)
  return seen, seen - taken, #ids < most and seen == #ids
end

local function steps_of(q, wish)
  local steps = {}
  for _, state in ipairs(wish.states) do
    local shared = { state = state, room = wish.beyond and total_of(q, wish, state) - wish.beyond or nil }
    for _, place in ipairs(PLACES[state]) do
      steps[#steps + 1] = setmetatable({ place = place }, { __index = shared, __newindex = shared })
    end
  end
  return steps
end

-- Go through the places of some states. With `count` nothing is taken out.
local function walk(q, wish)
  q.members = {}
  local found = { jobs = {} }
  local steps = steps_of(q, wish)
  local at, skip, looked = wish.step or 1, wish.skip or 0, 0
  local limit = wish.count and LOOK or math.min(wish.limit, ACT)
  local picky = wish.name or wish.older or wish.group or wish.fingerprint
  if wish.beyond and steps[at] and steps[at].place == 'active' then steps[at].room = steps[at].room - skip end
  while steps[at] and #found.jobs < limit and looked < LOOK do
    local step = steps[at]
    local most = picky and LOOK - looked or math.min(LOOK - looked, limit - #found.jobs)
    local seen, stay, done = slice(q, wish, step, skip, found, most, limit)
    looked, skip = looked + seen, skip + stay
    if done or (step.room and step.room <= 0) then at, skip = at + 1, 0 end
  end
  if steps[at] then found.step, found.skip = at, skip end
  return found
end

-- Which sorted set has a job; those in none are in a list.
local function place_in_sets(q, id)
  if call('ZSCORE', q.completed, id) then return 'completed' end
  if call('ZSCORE', q.failed, id) then return 'failed' end
  local since = call('ZSCORE', q.children, id)
  if since then return tonumber(since) < IN_GROUP and 'children' or 'grouped' end
  if call('ZSCORE', q.delayed, id) then return call('ZSCORE', q.held, id) and 'held' or 'delayed' end
  return call('ZSCORE', q.prioritized, id) and 'urgent' or nil
end

local function is_active(q, id)
  return (call('ZSCORE', q.leases, id) or call('LPOS', q.active, id)) and true or false
end

-- Take a job out of the list it waits in.
local function take_listed(q, id)
  if call('LREM', q.wait, -1, id) > 0 then return 'wait' end
  return call('LREM', q.paused, -1, id) > 0 and 'paused' or nil
end

-- Take a job out of its place when that is one of these states'; answers its state and place, and whether `wait` was searched.
-- `promoting`: the next run of one of Node's schedulers may run early, as Node's own promote lets it.
local function take_one(q, id, states, promoting)
  local spared = promoting and is_slot or is_pending_run
  local place = place_in_sets(q, id)
  local state = STATES_OF[place] or place
  if place then
    if not states[state] or ((state == 'waiting' or state == 'delayed') and spared(q, id)) then return nil end
    take_out(q, place, { { id = id } })
    return state, place
  end
  if not states.waiting or spared(q, id) then return states.active and is_active(q, id) and 'active' or nil, 'active' end
  if is_active(q, id) then return states.active and 'active' or nil, 'active' end
  place = take_listed(q, id)
  return place and 'waiting' or nil, place, true
end

-- Those of the ids that are in one of the states.
local function find(q, wish)
  local found, states, searched = { jobs = {} }, {}, 0
  for _, state in ipairs(wish.states) do states[state] = true end
  local length = states.waiting and call('LLEN', q.wait) or 0
  for i, id in ipairs(wish.ids) do
    if #found.jobs >= ACT or searched > SEARCH then
      found.left = #wish.ids - i + 1
      break
    end
    local job = look_at(q, id)
    if job then
      local in_list
      job.state, job.place, in_list = take_one(q, id, states, wish.promoting)
      if job.state then found.jobs[#found.jobs + 1] = job end
      if in_list then searched = searched + length end
    end
  end
  return found
end

local function came_in(q)
  local grouped = meta(q).guarded and call('ZCARD', q.grouped) or 0
  return call('LLEN', q.wait) + call('LLEN', q.paused) + call('ZCARD', q.prioritized) + grouped, call('ZCARD', q.delayed)
end

-- The whole of a command: do this to each of the jobs that are meant. Answers { ids, step?, skip?, left?, again? }: `again` when
-- doing it brought others into the queue, which may be meant too. `first` is done to all of them before.
local function each_meant(act, first)
  local before = earlier()
  if before then return before end
  local found = req.ids and find(queue, req) or walk(queue, req)
  local ready, delayed = came_in(queue)
  local ids = {}
  if first then
    for _, job in ipairs(found.jobs) do first(job, queue.base .. job.id) end
  end
  for i, job in ipairs(found.jobs) do
    ids[i] = job.id
    act(job, queue.base .. job.id)
  end
  local more_ready, more_delayed = came_in(queue)
  conclude()
  return reply({ ids = ids, step = found.step, skip = found.skip, left = found.left, again = more_ready > ready or more_delayed > delayed })
end

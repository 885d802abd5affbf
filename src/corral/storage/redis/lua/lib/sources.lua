-- lib/sources.lua - the jobs of a queue as sorted runs, one for each key that has some. A run answers any stretch of itself as
-- { id, k1, k2, due } by place; merged by (k1, k2) the runs are one list.

local function zset(q, state, key, first, size, place)
  local run = { state = state, size = size, pos = 0 }
  run.read = function(from, count)
    local last = math.min(from + count, size) - 1
    local behind = run.behind or first -- entries of the key that come after all of the run
    local found = run.newest_first and call('ZREVRANGE', key, behind + from, behind + last, 'WITHSCORES')
      or call('ZRANGE', key, first + from, first + last, 'WITHSCORES')
    local entries = {}
    for i = 1, #found, 2 do
      local k1, k2, due = place(tonumber(found[i + 1]))
      entries[#entries + 1] = { found[i], k1, k2, due }
    end
    return entries
  end
  run.resize = function(to) size, run.size = to, to end -- the last ones are left out
  return run
end

-- Lists begin at their tail: there are the jobs that were first.
local function list(q, state, key, place)
  local size = call('LLEN', key)
  local run = { state = state, size = size, pos = 0 }
  run.read = function(from, count)
    local last = math.min(from + count, size) - 1
    local entries = {}
    if last < from then return entries end
    local found = run.newest_first and call('LRANGE', key, from, last) or call('LRANGE', key, -last - 1, -from - 1)
    for i = 1, #found do
      local id = run.newest_first and found[i] or found[#found + 1 - i]
      local k1, k2 = place(id, from + i - 1)
      entries[i] = { id, k1, k2 }
    end
    return entries
  end
  return run
end

local function by_priority(score) return rank_of(math.floor(score / PRIORITY)), score % PRIORITY end

local function by_hold(place) return math.floor(place / PRIORITY), place % PRIORITY end

local function by_due(score)
  local due = math.floor(score / 4096)
  return due, score % 4096, due
end

local function by_time(score) return math.floor(score), score % 1 end

-- Places in a list: behind those of set aside jobs, but for who went to its front after some were.
local function in_list(q, behind)
  local noted = call('HEXISTS', q.state, 'fronts') == 1
  return function(id, i)
    local at = noted and redis.pcall('HGET', q.base .. id, 'hold')
    at = at and not at.err and tonumber(at)
    return URGENT, at and at % PRIORITY or behind + i
  end
end

-- Jobs in groups, and those of them that are set aside: members of one form, which sort as they are served. With `group`, its alone.
local function members(q, key, group)
  local first, size = 0, 0
  if group then
    first = call('ZLEXCOUNT', key, '-', '(' .. group .. '\0')
    size = call('ZLEXCOUNT', key, '[' .. group .. '\0', '(' .. group .. '\1')
  else
    size = call('ZCARD', key)
  end
  local run = { state = 'waiting', size = size, pos = 0 }
  run.read = function(from, count)
    local last = math.min(from + count, size) - 1
    local found = call(run.newest_first and 'ZREVRANGE' or 'ZRANGE', key, first + from, first + last)
    local entries = {}
    for i, member in ipairs(found) do
      local nul = string.find(member, '\0', 1, true)
      entries[i] = { string.sub(member, nul + 24), math.huge, member }
    end
    return entries
  end
  return run
end

-- Whether a text sorts before another one, byte by byte; Lua's own `<` goes by the server's language.
local function text_before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local SOURCES = {
  waiting = function(q)
    local all = call('ZCARD', q.prioritized)
    local urgent = call('ZCOUNT', q.prioritized, '-inf', string.format('(%.17g', (URGENT + 1) * PRIORITY))
    local held = zset(q, 'waiting', q.held, 0, call('ZCARD', q.held), by_hold)
    if call('EXISTS', q.aside) == 1 then
      held.left_out = function(id) return call('HEXISTS', q.base .. id, 'gid') == 1 end -- it is in the last run
      held.beside = call('ZCARD', q.aside)
    end
    return {
      zset(q, 'waiting', q.prioritized, 0, urgent, by_priority),
      held,
      list(q, 'waiting', q.paused, in_list(q, PRIORITY)),
      list(q, 'waiting', q.wait, in_list(q, 2 * PRIORITY)),
      zset(q, 'waiting', q.prioritized, urgent, all - urgent, by_priority),
      members(q, q.grouped, req.group),
      members(q, q.aside, req.group),
    }
  end,
  delayed = function(q)
    local run = zset(q, 'delayed', q.delayed, 0, call('ZCARD', q.delayed), by_due)
    local held, slots = call('ZCARD', q.held) > 0, call('HLEN', q.schedules) > 0
    if held or slots then
      run.left_out = function(id) return held and call('ZSCORE', q.held, id) or slots and is_slot(q, id) end
    end
    return { run }
  end,
  active = function(q)
    return { list(q, 'active', q.active, function(id) return whole(call('ZSCORE', q.leases, id)), 0 end) }
  end,
  ['waiting-children'] = function(q)
    local grouped = call('ZCOUNT', q.children, string.format('%.0f', IN_GROUP), '+inf')
    local run = zset(q, 'waiting-children', q.children, 0, call('ZCARD', q.children) - grouped, by_time)
    run.behind = grouped
    return { run }
  end,
  completed = function(q) return { zset(q, 'completed', q.completed, 0, call('ZCARD', q.completed), by_time) } end,
  failed = function(q) return { zset(q, 'failed', q.failed, 0, call('ZCARD', q.failed), by_time) } end,
}

-- Whether the entry of one run goes before the one of another.
local function before_that(a, b, newest_first)
  if newest_first then a, b = b, a end
  if a[2] ~= b[2] then return a[2] < b[2] end
  if type(a[3]) == 'string' then return text_before(a[3], b[3]) end
  return a[3] < b[3]
end

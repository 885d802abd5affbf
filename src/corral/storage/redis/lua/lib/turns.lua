-- lib/turns.lua - the claim of a queue with groups, holds or further windows. Included by lib/take.lua, inside of a function.
--
-- Urgent jobs go first and low ones last; between them the groups and the plain list, whose number is `plain_turn`, take turns.

local groups = grouping()
local BACK_MS = 1000 -- the clock went back by so much: times that were noted by it may never come
local PASSED = 450 -- jobs passed over per call: 7 ms
local BROUGHT = 200 -- jobs brought back per call: 5 ms
local LOW = string.format('(%.17g', (URGENT + 1) * PRIORITY)

-- What bounds this claim, and the numbers of the turn.
local function read_limits(q, turn, plain_turn)
  local limits = groups.queue_limits(q)
  limits.turn, limits.plain_turn = turn, plain_turn
  limits.caps, limits.windows_of, limits.spent = caps(q), {}, {}
  limits.running = limits.caps and running_by_name(q) or {}
  limits.stale, limits.passed = 0, 0
  return limits
end

local function windows_of(q, limits, name)
  local windows = limits.windows_of[name]
  if not windows then
    windows = groups.read_windows(call('HGET', q.windows, 'n:' .. name))
    limits.windows_of[name] = windows
  end
  return windows
end

local function pop_urgent(q, count)
  local found = call('ZRANGEBYSCORE', q.prioritized, '-inf', LOW, 'WITHSCORES', 'LIMIT', 0, count)
  local picks, ids = {}, {}
  for i = 1, #found, 2 do
    ids[#ids + 1] = found[i]
    picks[#picks + 1] = { id = found[i], score = tonumber(found[i + 1]) }
  end
  if #ids > 0 then call('ZREM', q.prioritized, unpack(ids)) end
  return picks
end

local function pop_plain(q, count)
  local picks = {}
  for i, id in ipairs(call('RPOP', q.wait, count) or {}) do picks[i] = { id = id } end
  return picks
end

local function pop_low(q, count)
  local picks, found = {}, call('ZPOPMIN', q.prioritized, count)
  for i = 1, #found, 2 do picks[#picks + 1] = { id = found[i], score = tonumber(found[i + 1]) } end
  return picks
end

-- The groups whose turn it is: those with the smallest tag, in their order. What becomes of the ring is written at the end of the
-- round, and what becomes of groups at the end of the claim: so a job costs three commands for its group.
local function read_round(q, count)
  local found = call('ZRANGE', q.ring, 0, count - 1, 'WITHSCORES')
  if not found[1] then return nil end
  local round = { tag = tonumber(found[2]), at = 1, gone = {}, back = {} }
  for i = 1, #found, 2 do
    if tonumber(found[i + 1]) > round.tag then break end
    round[#round + 1] = found[i]
  end
  groups.foresee(q, round)
  return round
end

local function push(list, value) list[#list + 1] = value end

local function end_round(q, limits)
  local round = limits.round
  limits.round = nil
  if not round then return end
  if #round.gone > 0 then call('ZREM', q.ring, unpack(round.gone)) end
  if #round.back > 0 then call('ZADD', q.ring, unpack(round.back)) end
end

-- The group is not in the ring any more; where it belongs is seen at the end.
local function drop(limits, gid)
  push(limits.round.gone, gid)
  limits.dropped[gid] = true
end

-- The best job of a group; nil when there is none, or the group may not be served.
local function pick_of(q, limits, gid)
  local g = groups.group_of(q, gid)
  if not limits.seen[gid] and groups.blocked_until(q, g) then return drop(limits, gid) end
  limits.seen[gid] = g
  local from, to = groups.range_of(gid)
  for _ = 1, PASSED do
    local best = call('ZRANGEBYLEX', q.grouped, from, to, 'LIMIT', 0, 2)
    if not best[1] then return drop(limits, gid) end
    call('ZREM', q.grouped, best[1])
    local _, id = groups.split(best[1])
    local since = call('ZSCORE', q.children, id)
    if since and tonumber(since) >= IN_GROUP then -- else another program took it
      return { id = id, group = g, more = best[2] ~= nil, tag = limits.round.tag }
    end
    limits.stale = limits.stale + 1
    if limits.stale > PASSED then return nil end
  end
end

local function next_urgent(q, limits, count)
  if limits.no_urgent then return nil end
  local urgent = pop_urgent(q, count)
  limits.no_urgent = #urgent < count
  return urgent[1] and urgent or nil
end

local function next_plain(q, limits)
  if limits.plain_turn > limits.round.tag then return nil end
  limits.plain = limits.plain or call('LLEN', q.wait)
  if limits.plain == 0 then return nil end
  local plain = pop_plain(q, 1)
  limits.plain = plain[1] and limits.plain - 1 or 0
  if plain[1] then plain[1].tag = limits.round.tag end
  return plain[1] and plain
end

-- The next jobs in the order of service, one by one while groups take turns.
local function next_picks(q, limits, count)
  local urgent = next_urgent(q, limits, count)
  if urgent then return urgent end
  for _ = 1, PASSED do
    limits.round = limits.round or read_round(q, count)
    if not limits.round then
      local plain = pop_plain(q, count)
      return plain[1] and plain or pop_low(q, count)
    end
    local gid = limits.round[limits.round.at]
    if gid then
      local plain = next_plain(q, limits)
      if plain then return plain end
      limits.round.at = limits.round.at + 1
      local pick = pick_of(q, limits, gid)
      if pick then return { pick } end
      if limits.stale > PASSED then break end
    else
      end_round(q, limits)
    end
  end
  return {}, true
end

-- A job of this turn starts: who is next?
local function go_round(q, limits, pick)
  if pick.tag then limits.turn = pick.tag end
  local g = pick.group
  if not g then
    if pick.tag then limits.plain_turn = pick.tag + 1 end
    return
  end
  local rates = groups.limits_of(q, g).rates
  if rates then groups.spend(groups.windows_of(q, g), rates, 1) end
  g.started, g.served = g.started + 1, true
  local at = groups.blocked_until(q, g)
  if not pick.more then
    drop(limits, g.gid)
  elseif at then
    push(limits.round.gone, g.gid)
    groups.block(q, g.gid, at)
  else
    push(limits.round.back, pick.tag + 1)
    push(limits.round.back, g.gid)
  end
end

-- A job of this turn does not start: its group is asked once more.
local function try_again(limits, pick)
  if pick.more then limits.round.at = limits.round.at - 1 else drop(limits, pick.group.gid) end
end

-- Until when a job of this name is set aside; nil when it may run.
local function name_full(q, limits, name)
  local most = limits.caps and limits.caps[name]
  if most and (limits.running[name] or 0) >= most then return now + HOLD_MS end
  local rates = limits.names and limits.names[name]
  local ends = rates and groups.full_until(windows_of(q, limits, name), rates)
  if not ends then return nil end
  call('ZADD', q.freed, string.format('%.0f', ends), name)
  return math.max(ends, now + HOLD_MS)
end

-- A job that does not run now, or never.
local function put_aside(q, pick, seen, due)
  if pick.group or seen.gid then
    groups.set_aside(q, pick.id, pick.group and pick.group.gid or seen.gid, seen.name or '', due)
  else
    hold(q, pick.id, seen, pick.score, due)
  end
end

local function start_of(q, limits, pick, fields, seen)
  local id, name = pick.id, seen.name or ''
  limits.running[name] = (limits.running[name] or 0) + 1
  local rates = limits.names and limits.names[name]
  if rates then
    groups.spend(windows_of(q, limits, name), rates, 1)
    limits.spent[name] = true
  end
  if pick.group then
    push(limits.left, id)
    push(limits.busy, 0)
    push(limits.busy, pick.group.gid .. '\0' .. id)
  elseif seen.gid then -- Node had put it into the list
    call('ZADD', q.busy, 0, seen.gid .. '\0' .. id)
    groups.group_of(q, seen.gid).running = nil
    limits.dropped[seen.gid] = true
  end
  go_round(q, limits, pick)
  if seen.hold then release_hold(q, id) end
  if seen.exp or seen.hold or seen.cancel then call('HDEL', q.base .. id, 'exp', 'hold', 'cancel') end
  return { id, seen.ats and whole(seen.ats) + 1 or 1, told(q, id, fields), name }
end

-- Choose jobs until there are `count`. Answers whether it stopped after passing over many although more wait.
local function choose_in_turns(q, limits, chosen, count)
  while #chosen < count do
    local picks, cut = next_picks(q, limits, count - #chosen)
    if #picks == 0 then return cut end
    for _, pick in ipairs(picks) do
      local fields = redis.pcall('HGETALL', q.base .. pick.id)
      local seen = fields.err and {} or glance(fields)
      local over = pass_over(q, pick.id, fields, seen)
      local due = not over and name_full(q, limits, seen.name or '')
      if over or due then
        limits.passed = limits.passed + 1
        if pick.group then call('ZREM', q.children, pick.id) end
        if due then put_aside(q, pick, seen, due) end
        if pick.group then try_again(limits, pick) end
      else
        chosen[#chosen + 1] = start_of(q, limits, pick, fields, seen)
      end
    end
    if limits.passed >= PASSED then return true end
  end
  return false
end

-- Write down who left the groups, and what has become of groups that are not in the ring any more.
local function leave_groups(q, limits)
  end_round(q, limits)
  if #limits.left > 0 then call('ZREM', q.children, unpack(limits.left)) end
  if #limits.busy > 0 then call('ZADD', q.busy, unpack(limits.busy)) end
  local windows = {}
  for gid, g in pairs(limits.seen) do
    if g.running then g.running = g.running + g.started end
    if g.served and groups.limits_of(q, g).rates then
      push(windows, 'g:' .. gid)
      push(windows, groups.window_text(g.windows))
    end
    g.started, g.placed = 0, nil
  end
  if #windows > 0 then call('HSET', q.windows, unpack(windows)) end
  for gid in pairs(limits.dropped) do
    local g = limits.seen[gid]
    if not (g and g.served and groups.waiting(q, gid) == 0) then groups.regroup(q, gid) end
  end
end

-- How many more of this name may start.
local function room_of(q, limits, name)
  local most, rates = limits.caps and limits.caps[name], limits.names and limits.names[name]
  local room = most and most - (limits.running[name] or 0) or math.huge
  return rates and math.min(room, groups.room_in(windows_of(q, limits, name), rates)) or room
end

-- Serve held jobs again whose name has room while slots stay empty; false when there are none.
--
-- A run that ends, or a window, brings back as many as its name has room for. But the first of them to start may block the group of
-- the others; their room would be nobody's, and jobs of open groups would stay aside for up to HOLD_MS.
local function bring_back(q, limits, count)
  if call('ZCARD', q.held) == 0 then return false end
  rawset(q, 'turn_now', limits.turn) -- groups that come in do so behind those this claim has served
  local found = false
  for _, bounds in ipairs({ limits.caps or {}, limits.names or {} }) do
    for name in pairs(bounds) do
      local is_there = call('EXISTS', q.held .. ':' .. name) == 1
      local wanted = is_there and math.min(count, room_of(q, limits, name)) or 0
      while wanted > 0 and limits.brought < BROUGHT do
        local back, moved = unhold_one(q, name)
        limits.brought, wanted, found = limits.brought + moved, back and wanted - 1 or 0, found or moved > 0
      end
    end
  end
  return found
end

-- Choose up to `count` jobs. Also answers whether it found none after passing over many although more wait.
local function choose_all(q, limits, count)
  local chosen, stopped = {}, false
  repeat
    limits.left, limits.busy, limits.seen, limits.dropped, limits.no_urgent, limits.plain = {}, {}, {}, {}, nil, nil
    if count > 0 then stopped = choose_in_turns(q, limits, chosen, count) end
    leave_groups(q, limits)
    stopped = stopped or limits.brought >= BROUGHT
  until stopped or #chosen >= count or not bring_back(q, limits, count - #chosen)
  return chosen, stopped and count > 0 and #chosen == 0
end

-- Write down what this claim has used of the windows.
local function write_down(q, limits, started)
  for name in pairs(limits.spent) do
    local windows = limits.windows_of[name]
    call('HSET', q.windows, 'n:' .. name, groups.window_text(windows))
    local ends = groups.full_until(windows, limits.names[name])
    if ends and call('ZCARD', q.held .. ':' .. name) > 0 then call('ZADD', q.freed, string.format('%.0f', ends), name) end
  end
  if #limits.more > 0 and started > 0 then
    groups.spend(limits.windows, limits.more, started)
    call('HSET', q.windows, 'q', groups.window_text(limits.windows))
  end
  if started > 0 then call('HSET', q.state, 'turn', limits.turn, 'plain_turn', limits.plain_turn, 'served_at', now_text) end
end

-- When the first name is let in of which jobs are set aside; names without any are forgotten: their jobs went otherwise.
local function next_name(q)
  for _ = 1, PASSED do
    local first = call('ZRANGE', q.freed, 0, 0, 'WITHSCORES')
    if not first[1] then return nil end
    if call('EXISTS', q.held .. ':' .. first[1]) == 1 then return tonumber(first[2]) end
    call('ZREM', q.freed, first[1])
  end
end

-- The earliest time at which a group or a name is let in by itself.
local function freed_time(q)
  local group, name = tonumber(call('ZRANGE', q.blocked, 0, 0, 'WITHSCORES')[2] or nil) or math.huge, next_name(q) or math.huge
  local at = math.min(group, name)
  return at < math.huge and math.max(at, now) or nil
end

local function earliest(a, b) return a and b and math.min(a, b) or a or b end
local function latest(a, b) return a and b and math.max(a, b) or a or b end

local function take_in_turns(q, wish)
  local m = meta(q)
  local next_at = promote_due(q)
  local f = call('HMGET', q.state, 'turn', 'plain_turn', 'served_at')
  local brought = groups.free(q, whole(f[3]) > now + BACK_MS)
  local limits = read_limits(q, whole(f[1]), whole(f[2]))
  limits.brought = brought
  local left, ends = window(q)
  local count = math.min(wish.count, 256, left or 256, groups.room_in(limits.windows, limits.more))
  local runs = (m.concurrency or limits.probe) and call('LLEN', q.active) or 0
  if m.concurrency then count = math.min(count, m.concurrency - runs) end
  local held = limits.held_until and limits.held_until > now and limits.held_until or nil
  if held then
    count = 0
  elseif limits.probe then
    count = math.min(count, runs == 0 and 1 or 0)
  end
  local chosen, more = choose_all(q, limits, count)
  write_down(q, limits, #chosen)
  if #chosen > 0 then
    start(q, wish, chosen)
    count_starts(q, #chosen)
    if left and not ends then ends = now + (m.duration or 1000) end
  end
  local held_until = latest(held, groups.full_until(limits.windows, limits.more))
  if left and left - #chosen <= 0 then held_until = latest(held_until, ends) end
  if #chosen > 0 then
    if ready_count(q) == 0 then tell(q, 'emptied') else wake(q) end
  end
  if more then
    wake(q)
    held_until = held_until or now
  end
  local freed_at = freed_time(q)
  return { jobs = chosen, next_at = earliest(next_at, freed_at), freed_at = freed_at, held_until = held_until, now = now }
end

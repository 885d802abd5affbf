-- configure.lua - what a queue is told to do, and how it stands.
--
-- Keys     meta marker wait paused limiter prioritized delayed events; own: settings state held, all of groups, op;
--          shared: queues
-- Request  { queue, prefix, now?, settings?, go_on? }   settings = { paused?, pause_reason?, rate? add? = { count, per } | false,
--          concurrency? = n | false, names? more? name_limits? group_limits? (JSON) | false, keep_completed? keep_failed? (JSON),
--          hold? = { for, reason, probe? } | false, groups? = { { id, limits? (JSON) | false, paused?, hold? } ... } }; `go_on` does
--          the next slice of what `unheld`, `unpaused` and `regroup` tell: jobs to be served again, groups (from `start` on) to be
--          looked at
-- Reply    { info (lib/info.lua), unpaused, unheld, regroup? }
-- Events   paused, resumed
-- BullMQ   its pause, resume, setGlobalConcurrency and setGlobalRateLimit; what it has no word for is in `settings` of corral's own
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/info.lua

local LISTED = 5000 -- entries of BullMQ 5's `paused` list moved per call
local UNHELD = 500 -- jobs over their cap served again per call
local REGROUPED = 300 -- groups looked at per call, when the limits of all of them have changed: 4 ms

local before = earlier()
if before then return before end
local base_meta = queue.base .. 'meta'

local function store(key, field, value)
  if value == nil then return end
  if value == false then call('HDEL', key, field) else call('HSET', key, field, value) end
end

-- A limit is stored whole or not at all: half a one makes Node's claim fail after it took the job.
local function store_limit(key, count_field, per_field, limit)
  if limit == nil then return end
  store(key, count_field, limit and limit.count)
  store(key, per_field, limit and limit.per)
end

local function pause(paused)
  if paused == nil or paused == (call('HEXISTS', base_meta, 'paused') == 1) then return end
  if paused then
    call('HSET', base_meta, 'paused', 1)
    call('DEL', queue.marker)
  else
    call('HDEL', base_meta, 'paused')
  end
  tell(queue, paused and 'paused' or 'resumed')
end

local function limit_rate(limit)
  if limit == nil then return end
  local old = call('HMGET', base_meta, 'max', 'duration')
  if tonumber(old[1] or nil) ~= (limit and limit.count or nil) or tonumber(old[2] or nil) ~= (limit and limit.per or nil) then
    call('DEL', queue.limiter)
    call('HDEL', queue.state, 'window_at')
  end
  store_limit(base_meta, 'max', 'duration', limit)
end

-- Jobs that BullMQ 5 moved aside while it paused run first, as they would have. Never renamed over what waits already.
local function merge_paused()
  local ids = call('LRANGE', queue.paused, 0, LISTED - 1)
  if #ids == 0 then return end
  for from = 1, #ids, 1000 do call('RPUSH', queue.wait, unpack(ids, from, math.min(from + 999, #ids))) end
  call('LTRIM', queue.paused, #ids, -1)
end

-- Serve again who was set aside, the last ones first.
local function unhold_all()
  for _, id in ipairs(call('ZREVRANGE', queue.held, 0, UNHELD - 1)) do
    put_held(queue, id)
  end
end

-- What a change of the limits of all groups means for some of them; answers where to go on.
local function regroup_from(start)
  local some = call('ZRANGE', queue.groups, start, start + REGROUPED - 1)
  for _, gid in ipairs(some) do grouping().regroup(queue, gid) end
  -- One that leaves no trace makes the others move up.
  local left = 0
  for _, gid in ipairs(some) do
    if call('ZSCORE', queue.groups, gid) then left = left + 1 end
  end
  return #some == REGROUPED and start + left or nil
end

-- Groups, holds and further windows.
local function apply_limits(wish)
  for _, field in ipairs({ 'more', 'name_limits', 'group_limits' }) do store(queue.settings, field, wish[field]) end
  if wish.more or wish.name_limits then grouping().guard(queue) end
  if wish.hold then
    grouping().hold_queue(queue, now + wish.hold['for'], wish.hold.reason, wish.hold.probe)
  elseif wish.hold == false then
    grouping().hold_queue(queue, nil)
  end
  for _, change in ipairs(wish.groups or {}) do grouping().change(queue, change) end
  return wish.group_limits ~= nil and regroup_from(0) or nil
end

local function apply(wish)
  call('SADD', 'corral:' .. req.prefix .. '::queues', req.queue)
  local names, limited = unpack(call('HMGET', queue.settings, 'names', 'name_limits'))
  local renamed = (wish.names ~= nil and wish.names ~= names) or (wish.name_limits ~= nil and wish.name_limits ~= limited)
  pause(wish.paused)
  limit_rate(wish.rate)
  store(base_meta, 'concurrency', wish.concurrency)
  store_limit(queue.settings, 'add_count', 'add_per', wish.add)
  for _, field in ipairs({ 'pause_reason', 'names', 'keep_completed', 'keep_failed' }) do store(queue.settings, field, wish[field]) end
  if wish.add or wish.names then mark_bounds(queue) end
  queue.known = nil
  local next_group = apply_limits(wish)
  if renamed then
    call('DEL', queue.freed) -- claims that set jobs aside again note anew when their names are let in
    unhold_all()
  end
  if wish.paused == false then merge_paused() end
  if ready_count(queue) > 0 then wake(queue) end
  queue.later = true -- whoever slept because of what held before learns when the next job falls due
  return renamed, next_group
end

local renamed, next_group
if req.settings then
  renamed, next_group = apply(req.settings)
elseif req.go_on == 'groups' then
  next_group = regroup_from(req.start)
elseif req.go_on == 'held' then
  unhold_all()
elseif req.go_on == 'paused' then
  merge_paused()
  if ready_count(queue) > 0 then wake(queue) end
end
if lane ~= '' then conclude() end
return reply({
  info = info_of(queue, req.queue),
  unheld = renamed and call('ZCARD', queue.held) or 0,
  regroup = next_group,
  unpaused = call('HEXISTS', base_meta, 'paused') == 0 and call('LLEN', queue.paused) or 0,
})

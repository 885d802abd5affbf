-- configure.lua - what a queue is told to do, and how it stands.
--
-- Keys     meta marker wait paused limiter prioritized delayed events; own: settings state held op; shared: queues
-- Request  { queue, prefix, now?, settings?, go_on? }   settings = { paused?, pause_reason?, rate? add? = { count, per } | false,
--          concurrency? = n | false, names? (JSON) | false, keep_completed? keep_failed? (JSON) }; `go_on` moves the next slice of
--          the jobs that `unheld` and `unpaused` counted
-- Reply    { info (lib/info.lua), unpaused, unheld }
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

local function apply(wish)
  call('SADD', 'corral:' .. req.prefix .. '::queues', req.queue)
  local names = call('HGET', queue.settings, 'names')
  local renamed = wish.names ~= nil and wish.names ~= names
  pause(wish.paused)
  limit_rate(wish.rate)
  store(base_meta, 'concurrency', wish.concurrency)
  store_limit(queue.settings, 'add_count', 'add_per', wish.add)
  for _, field in ipairs({ 'pause_reason', 'names', 'keep_completed', 'keep_failed' }) do store(queue.settings, field, wish[field]) end
  queue.known = nil
  if renamed then unhold_all() end
  if wish.paused == false then merge_paused() end
  if ready_count(queue) > 0 then wake(queue) end
  queue.later = true -- whoever slept because of what held before learns when the next job falls due
  return renamed
end

local renamed
if req.settings then
  renamed = apply(req.settings)
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
  unpaused = call('HEXISTS', base_meta, 'paused') == 0 and call('LLEN', queue.paused) or 0,
})

-- record.lua - add figures to every tier, and forget those that have been kept long enough.
--
-- Keys     own: series:<tier> series:<tier>:<start> op
-- Request  { queue, prefix, now?, tiers = { { name, length, kept } ... }, samples = { { at, name, completed, failed, retried,
--          { bucket, count ... }, { bucket, count ... } } ... } }   length and kept in ms; the histograms: waited, ran
-- Reply    true
-- Events   none
-- BullMQ   has nothing like it
--! include lib/call.lua
--! include lib/keys.lua

local NAMES_KEPT = 200 -- names a bucket tells apart; the others share the name `*`
local FORGOTTEN = 100 -- old buckets deleted per call
local REST = '*'

local before = earlier()
if before then return before end

local function add_counts(into, more)
  local at = {}
  for i = 1, #into, 2 do at[into[i]] = i end
  for i = 1, #more, 2 do
    local place = at[more[i]]
    if place then
      into[place + 1] = into[place + 1] + more[i + 1]
    else
      into[#into + 1] = more[i]
      into[#into + 1] = more[i + 1]
    end
  end
  return into
end

local function add_sample(key, sample)
  local name = sample[2]
  local stored = call('HGET', key, name)
  if not stored and name ~= REST and call('HLEN', key) - call('HEXISTS', key, REST) >= NAMES_KEPT then
    name = REST
    stored = call('HGET', key, name)
  end
  local sum = stored and cmsgpack.unpack(stored) or { 0, 0, 0, {}, {} }
  for i = 1, 3 do sum[i] = sum[i] + sample[i + 2] end
  add_counts(sum[4], sample[6])
  add_counts(sum[5], sample[7])
  call('HSET', key, name, cmsgpack.pack(sum))
end

for _, tier in ipairs(req.tiers) do
  local name, length, kept = tier[1], tier[2], tier[3]
  local base = queue.own .. 'series:' .. name
  local new = false
  for _, sample in ipairs(req.samples) do
    local start = string.format('%.0f', sample[1] - sample[1] % length)
    if call('ZADD', base, start, start) == 1 then new = true end
    add_sample(base .. ':' .. start, sample)
  end
  if new then
    local bound = string.format('(%.0f', now - kept)
    for _, start in ipairs(call('ZRANGEBYSCORE', base, '-inf', bound, 'LIMIT', 0, FORGOTTEN)) do
      call('UNLINK', base .. ':' .. start)
      call('ZREM', base, start)
    end
  end
end
call('SADD', 'corral:' .. req.prefix .. '::queues', req.queue)
return reply(true)

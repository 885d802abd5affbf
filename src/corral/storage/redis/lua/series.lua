-- series.lua - the figures of a tier, a slice of its buckets at a time.
--
-- Keys     own: series:<tier> series:<tier>:<start>
-- Request  { queue, prefix, tier, since, till }   ms; `till` itself is not asked for
-- Reply    { found = { { start, name, { completed, failed, retried, { bucket, count ... }, { bucket, count ... } } } ... }, from? }
--          `from`: where to go on
-- Events   none
-- BullMQ   has nothing like it
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua

local ROWS = 1000 -- after so many figures the slice ends: 3 ms
local BUCKETS = 500
local base = queue.own .. 'series:' .. req.tier
local found, from = {}, nil
local since, till = string.format('%.0f', req.since), string.format('(%.0f', req.till)
local starts = call('ZRANGEBYSCORE', base, since, till, 'LIMIT', 0, BUCKETS + 1)
for n, start in ipairs(starts) do
  if n > BUCKETS or #found >= ROWS then
    from = tonumber(start)
    break
  end
  local rows = call('HGETALL', base .. ':' .. start)
  for i = 1, #rows, 2 do found[#found + 1] = { tonumber(start), rows[i], cmsgpack.unpack(rows[i + 1]) } end
end
return reply({ found = found, from = from })

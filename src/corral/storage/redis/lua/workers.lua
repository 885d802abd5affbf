-- workers.lua - the workers seen lately.
--
-- Keys     shared: workers workers:seen
-- Request  { prefix, now?, stale, start }
-- Reply    { found = { worker as JSON, seen at ... }, more }
-- Events   none
-- BullMQ   Node's workers are not among them: they are known by the names of their connections only
--! flags no-writes
--! include lib/call.lua

local SLICE = 500
local seen = call('ZRANGEBYSCORE', KEYS[2] .. 'workers:seen', string.format('%.0f', now - req.stale), '+inf', 'WITHSCORES',
  'LIMIT', req.start, SLICE)
local found = {}
for i = 1, #seen, 2 do
  local text = call('HGET', KEYS[2] .. 'workers', seen[i])
  if text then
    found[#found + 1] = text
    found[#found + 1] = tonumber(seen[i + 1])
  end
end
return reply({ found = found, more = #seen == 2 * SLICE })

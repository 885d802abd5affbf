-- failures.lua - kinds of failures, latest first.
--
-- Keys     own: failures failures:of
-- Request  { queue, prefix, start, limit }
-- Reply    { found = { { fingerprint, { type, message, attempts, jobs, first, last, id, name } } ... }, total }
-- Events   none
-- BullMQ   has nothing like it
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua

local times = queue.own .. 'failures'
local prints = call('ZREVRANGE', times, req.start, req.start + req.limit - 1)
local found = {}
if #prints > 0 then
  for i, stored in ipairs(call('HMGET', times .. ':of', unpack(prints))) do
    if stored then found[#found + 1] = { prints[i], cmsgpack.unpack(stored) } end
  end
end
return reply({ found = found, total = call('ZCARD', times) })

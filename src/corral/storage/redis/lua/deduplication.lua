-- deduplication.lua - the job that owns a deduplication id; with `remove` it owns it no longer.
--
-- Keys     de:<id> dn:<id> <id>; own: dedups op
-- Request  { queue, prefix, now?, id, remove? }
-- Reply    the job's id, or nil
-- Events   none
-- BullMQ   its getDeduplicationJobId and removeDeduplicationKey
--! include lib/call.lua
--! include lib/keys.lua

local before = earlier()
if before then return before end
local key = queue.base .. 'de:' .. req.id
local owner = call('GET', key) or nil
local ends = given and tonumber(call('ZSCORE', queue.dedups, req.id) or nil)
if ends and ends <= now then owner = nil end
if owner and call('PTTL', key) == -1 and call('EXISTS', queue.base .. owner) == 0 then owner = nil end -- it gives way to the next one
if req.remove then
  call('DEL', key, queue.base .. 'dn:' .. req.id)
  call('ZREM', queue.dedups, req.id)
end
return reply(owner)

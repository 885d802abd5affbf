-- logs.lua - lines of a job's log, oldest first.
--
-- Keys     <id>:logs
-- Request  { queue, prefix, id, start, limit }
-- Reply    { total, lines }
-- Events   none
-- BullMQ   the same list that its own jobs log to
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua

local key = queue.base .. req.id .. ':logs'
local lines = req.limit > 0 and call('LRANGE', key, req.start, req.start + req.limit - 1) or {}
return reply({ total = call('LLEN', key), lines = lines })

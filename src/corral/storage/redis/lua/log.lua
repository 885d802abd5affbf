-- log.lua - lines for a job's log.
--
-- Keys     <id> <id>:logs; own: op
-- Request  { queue, prefix, id, lines = { text ... }, keep }
-- Reply    how many lines there are; 0 when there is no such job
-- Events   none
-- BullMQ   its addLog, for several lines at once
--! include lib/call.lua
--! include lib/keys.lua

local before = earlier()
if before then return before end
local key = queue.base .. req.id
local logs = key .. ':logs'
local job = redis.pcall('HMGET', key, 'timestamp', 'name')
if job.err or not (job[1] and job[2]) then return reply(0) end
for from = 1, #req.lines, 1000 do call('RPUSH', logs, unpack(req.lines, from, math.min(from + 999, #req.lines))) end
if req.keep > 0 then
  call('LTRIM', logs, -req.keep, -1)
else
  call('DEL', logs)
end
return reply(call('LLEN', logs))

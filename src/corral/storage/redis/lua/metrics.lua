-- metrics.lua - a queue's work by the minute.
--
-- Keys     own: minutes
-- Request  { queue, prefix, since, till, cursor? }   both in ms; with a cursor all minutes are gone through, a slice at a time
-- Reply    { found = { minute, 'completed failed retried wait_ms run_ms' ... }, cursor }   cursor '0': that was all
-- Events   none
-- BullMQ   has finished jobs per minute only; its own `metrics:*` are kept too, see lib/tally.lua
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua

local MINUTE = 60000
local SLICE = 1000

-- A short stretch is asked for minute by minute, a long one by going through all there are (20,160 at most).
local function asked()
  local fields, found = {}, {}
  for at = math.ceil(req.since / MINUTE) * MINUTE, req.till - 1, MINUTE do fields[#fields + 1] = string.format('%.0f', at) end
  if #fields == 0 then return found end
  for i, text in ipairs(call('HMGET', queue.minutes, unpack(fields))) do
    if text then
      found[#found + 1] = fields[i]
      found[#found + 1] = text
    end
  end
  return found
end

local function gone_through()
  local slice = call('HSCAN', queue.minutes, req.cursor, 'COUNT', SLICE)
  local found = {}
  for i = 1, #slice[2], 2 do
    local at = tonumber(slice[2][i])
    if at and at >= req.since and at < req.till then
      found[#found + 1] = slice[2][i]
      found[#found + 1] = slice[2][i + 1]
    end
  end
  return found, slice[1]
end

if not req.cursor then return reply({ found = asked(), cursor = '0' }) end
local found, cursor = gone_through()
return reply({ found = found, cursor = cursor })

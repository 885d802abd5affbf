-- queues.lua - the settings of every queue.
--
-- Keys     shared: queues; meta of every queue; own: settings
-- Request  { prefix, found = { name ... } }   `found`: names of queues that were seen by their `meta` alone, made by Node
-- Reply    { info ... }   see lib/info.lua; also `limited_until`: when the window of a rate limit ends that is used up
-- Events   none
-- BullMQ   keeps no list of its queues
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/info.lua

local LIMITER_FULL = '9007199254740991' -- what BullMQ's own manual limit puts into `limiter`, and a hold for Node's workers
local answers, told = {}, {}

local function limited_until(q, info)
  local most = tonumber(info.max)
  local used = most and call('GET', q.base .. 'limiter')
  if not used or (tonumber(used) or 0) < most then return nil end
  if used == LIMITER_FULL and (tonumber(info.hold_until) or 0) > now then return nil end -- the hold says so itself
  local left = call('PTTL', q.base .. 'limiter')
  if left >= 0 then return string.format('%.0f', now + left) end
  local began = tonumber(call('HGET', q.state, 'window_at') or nil)
  return began and string.format('%.0f', began + (tonumber(info.duration) or 1000))
end

local function describe(name)
  if told[name] then return end
  told[name] = true
  local q = queue_named(name)
  local info = info_of(q, name)
  info.limited_until = limited_until(q, info)
  answers[#answers + 1] = info
end

for _, name in ipairs(call('SMEMBERS', 'corral:' .. req.prefix .. '::queues')) do describe(name) end
for _, name in ipairs(req.found) do
  if call('EXISTS', req.prefix .. ':' .. name .. ':meta') == 1 then describe(name) end
end
return reply(answers)

-- queues.lua - the settings of every queue.
--
-- Keys     shared: queues; meta of every queue; own: settings
-- Request  { prefix, found = { name ... } }   `found`: names of queues that were seen by their `meta` alone, made by Node
-- Reply    { info ... }   see lib/info.lua
-- Events   none
-- BullMQ   keeps no list of its queues
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/info.lua

local answers, told = {}, {}
local function describe(name)
  if told[name] then return end
  told[name] = true
  answers[#answers + 1] = info_of(queue_named(name), name)
end

for _, name in ipairs(call('SMEMBERS', 'corral:' .. req.prefix .. '::queues')) do describe(name) end
for _, name in ipairs(req.found) do
  if call('EXISTS', req.prefix .. ':' .. name .. ':meta') == 1 then describe(name) end
end
return reply(answers)

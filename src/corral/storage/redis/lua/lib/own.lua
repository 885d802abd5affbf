-- lib/own.lua - all that corral keeps of a queue beside BullMQ's keys, and how it goes.

local OWN_ENDS = {
  'leases', 'held', 'settings', 'state', 'minutes', 'notes', 'notes:ends', 'quarantine', 'schedules', 'slots', 'scan',
}

local function forget_queue(q, name)
  local limits = caps(q)
  for capped in pairs(limits or {}) do call('UNLINK', q.held .. ':' .. capped) end
  for _, ends in ipairs(OWN_ENDS) do call('UNLINK', q.own .. ends) end
  call('SREM', 'corral:' .. req.prefix .. '::queues', name)
end

-- BullMQ's own obliterate leaves corral's keys behind: the queue had jobs, and now it has neither settings nor a counter.
local function tidy_after_node(q, name)
  if call('HGET', q.state, 'founded') and call('EXISTS', q.base .. 'meta', q.base .. 'id') == 0 then forget_queue(q, name) end
end

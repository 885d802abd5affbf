-- lib/slot_count.lua - how many places of schedules stand in `delayed`: they are no jobs yet, and are not counted.

local SLOTS_ASKED = 500

-- corral keeps the times of its own in `slots`. Only one that is due may have left without it: a Node worker took it.
local function slots_in_delayed(q)
  local key = q.own .. 'slots'
  local count = call('ZCARD', key)
  if count == 0 then return 0 end
  for _, name in ipairs(call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, SLOTS_ASKED)) do
    local at = tonumber(call('ZSCORE', q.base .. 'repeat', name) or nil)
    if not (at and call('ZSCORE', q.delayed, string.format('repeat:%s:%.0f', name, at))) then count = count - 1 end
  end
  return count
end

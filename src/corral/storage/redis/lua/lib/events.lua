-- lib/events.lua - the stream of a queue, in BullMQ's words, with what corral adds: the job's `name`, `at` (only when the caller
-- said what time it is), and `corral` where one of BullMQ's words stands for several of ours.

local function tell(q, kind, ...)
  q.told = true
  if given then
    call('XADD', q.events, '*', 'event', kind, 'at', now_text, ...)
  else
    call('XADD', q.events, '*', 'event', kind, ...)
  end
end

-- Bound the streams that this call wrote to. Whole nodes of the stream go, so this is cheap however often it is called.
-- Without `LIMIT 0` a call drops at most 10,000 entries, and a bulk of 10,000 jobs writes 20,000.
local function trim_events()
  for _, q in pairs(queues_by_base) do
    if rawget(q, 'told') == true then call('XTRIM', q.events, 'MAXLEN', '~', meta(q).events, 'LIMIT', 0) end
  end
end
--! scope

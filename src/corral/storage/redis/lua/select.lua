-- select.lua - how many jobs of some states a selection with a filter means; a slice of them at a time.
--
-- Keys     places of jobs, <id>; own: held schedules
-- Request  { queue, prefix, now?, states, name?, older?, count = true, step?, skip? }
-- Reply    { n, step?, skip? }      (lib/select.lua)
-- Events   none
-- BullMQ   nothing is written
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/slot.lua
--! include lib/select.lua

local found = walk(queue, req)
return reply({ n = #found.jobs, step = found.step, skip = found.skip })

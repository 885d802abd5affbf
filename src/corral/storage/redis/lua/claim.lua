-- claim.lua - take the best jobs that may run.
--
-- Keys     wait active prioritized pc delayed completed failed events marker meta limiter <id> <id>:lock
--          own: leases held settings state quarantine, those of groups, op        (glossary: README.md)
-- Request  { queue, prefix, now?, count, token, lease, worker }
-- Reply    { jobs = { { id, ats, { field, value ... } | { name, data, opts, timestamp, delay } } ... },
--            next_at?, freed_at?, held_until?, paused? }
-- Events   active, per job; waiting (promoted); expired and failed (passed over); emptied
-- BullMQ   the claim of a worker, for many jobs at once; a Node worker may share this queue
--! flags allow-oom
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/slot.lua
--! include lib/take.lua

local before = earlier()
if before then return cmsgpack.pack(from_note(queue, cmsgpack.unpack(before), req.token)) end
local claimed = take(queue, req)
conclude()
return reply(claimed, note_of(claimed))

-- claim.lua - take the best jobs that may run.
--
-- Keys     wait active prioritized pc delayed completed failed events marker meta limiter <id> <id>:lock
--          own: leases held settings state quarantine, those of groups, op        (glossary: README.md)
-- Request  { queue, prefix, now?, count, token, lease, worker }
-- Reply    { jobs = { { id, ats, { field, value ... } | { name, data, opts, timestamp, delay } } ... } | new = { name, opts,
--            { id, data, timestamp ... } ... }, next_at?, freed_at?, held_until?, paused? }; `new` when all are new and plain
-- Events   active, per job; waiting (promoted); expired and failed (passed over); emptied
-- BullMQ   the claim of a worker, for many jobs at once; a Node worker may share this queue
--! flags allow-oom
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/ready.lua
--! include lib/tally.lua
--! include lib/keep.lua
--! include lib/active.lua
--! include lib/complete.lua
--! include lib/start.lua
--! include lib/express.lua

local before = earlier()
local claimed = not before and is_usual(queue) and take_plain(queue, req)
if claimed then
  conclude(true)
  local note = note_of(claimed)
  return reply(claimed, note)
end
--! scope
--! include lib/place.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/slot.lua
--! include lib/take.lua

if before then return cmsgpack.pack(from_note(queue, cmsgpack.unpack(before), req.token)) end
claimed = take(queue, req)
conclude()
return reply(claimed, note_of(claimed))

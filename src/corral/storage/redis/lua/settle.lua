-- settle.lua - give verdicts on finished runs, then claim what fits in their place.
--
-- Keys     as claim.lua, and stalled metrics:* de:* dn:* repeat <id>:* of parents, also in other queues
--          own: leases minutes, those of groups, op
-- Request  { queue, prefix, now?, verdicts = { { id, token, kind, a?, b?, count?, age_ms? } ... },
--          claim? = { count, token, lease, worker } }
--          kind c completed (a result) · f failed (a reason, b trace) · r retried (after, a reason, b trace) · s snoozed (after)
--          · p parked · l released · t told to wait (after, a reason, group: its group and not the queue) · x crashed
--          (a reason, limit); count and age_ms bound what is kept
-- Reply    { refused = { { id, reason } ... }, claimed? }
-- Events   completed | failed | delayed | waiting | waiting-children | stalled | retries-exhausted | drained; those of claim.lua
-- BullMQ   its finish, retry and move scripts, for many jobs at once, checked against the same locks
--! flags allow-oom
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/verdict.lua
--! include lib/slot.lua
--! include lib/take.lua

local before = earlier()
if before then
  local note = cmsgpack.unpack(before)
  local claimed = note.claimed and from_note(queue, note.claimed, req.claim.token)
  return cmsgpack.pack({ refused = note.refused, claimed = claimed or nil })
end
local refused = #req.verdicts > 0 and settle(queue, req.verdicts) or {}
local claimed = req.claim and take(queue, req.claim) or nil
conclude()
return reply({ refused = refused, claimed = claimed }, { refused = refused, claimed = claimed and note_of(claimed) })

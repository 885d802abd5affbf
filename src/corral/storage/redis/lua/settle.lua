-- settle.lua - give verdicts on finished runs, then claim what fits in their place.
--
-- Keys     as claim.lua, and stalled metrics:* de:* dn:* repeat <id>:* of parents, also in other queues
--          own: leases minutes, those of groups, op
-- Request  { queue, prefix, now?, verdicts? = { { id, token, kind, a?, b?, count?, age_ms? } ... } | done? = { { token, count | nil,
--          age_ms | nil, { id, result ... } } ... }, claim? = { count, token, lease, worker } }; `done` when all have completed
--          kind c completed (a result) · f failed (a reason, b trace) · r retried (after, a reason, b trace) · s snoozed (after)
--          · p parked · l released · t told to wait (after, a reason, group: its group and not the queue) · x crashed
--          (a reason, limit); count and age_ms bound what is kept
-- Reply    { refused? = { { id, reason } ... }, claimed? }
-- Events   completed | failed | delayed | waiting | waiting-children | stalled | retries-exhausted | drained; those of claim.lua
-- BullMQ   its finish, retry and move scripts, for many jobs at once, checked against the same locks
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
local refused
if not (before or req.verdicts) and is_usual(queue) then
  if req.done then refused = settle_plain(queue, req.done) else refused = {} end
end
local claimed = refused and req.claim and take_plain(queue, req.claim) or nil
if refused and (claimed or not req.claim) then
  conclude(true)
  return answer(refused, claimed)
end
--! scope
--! include lib/place.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/verdict.lua
--! include lib/slot.lua
--! include lib/take.lua

if before then return again(cmsgpack.unpack(before)) end
if not refused then
  local verdicts = req.verdicts or req.done and spelled_out(req.done)
  refused = verdicts and settle(queue, verdicts) or {}
end
claimed = req.claim and take(queue, req.claim) or nil
conclude()
return answer(refused, claimed)

-- settle_full.lua - settle.lua for verdicts that bring more: kinds of failures, and jobs to be added in the same step.
--
-- Keys     as settle.lua and add_full.lua; own: failures failures:of
-- Request  as settle.lua, with failure? = { fingerprint, type, message } and adds? = { job ... } (as in add_full.lua) in verdicts
-- Reply    as settle.lua. An added job does not wait for one that is not there
-- Events   as settle.lua, then those of add_full.lua
-- BullMQ   has neither; the jobs are added as by its add scripts
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
--! include lib/discard.lua
--! include lib/insert.lua
--! include lib/edges.lua
--! include lib/dedup.lua
--! include lib/outcomes.lua

local before = earlier()
if before then return again(cmsgpack.unpack(before)) end
local refused = settle(queue, req.verdicts)
local claimed = req.claim and take(queue, req.claim) or nil
conclude()
return answer(refused, claimed)

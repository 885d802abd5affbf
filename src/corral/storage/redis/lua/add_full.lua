-- add_full.lua - add.lua for jobs with more to them: deduplicated ones, those that come after others or wait in a group, and those
-- that may be there already and get a parent.
--
-- Keys     as add.lua, and de:* dn:* delayed active completed failed, <id>:* of parents; own: dedups edges then:<id> held leases
-- Request  as add.lua; job = { ..., after? = { { queue, id, policy } ... }, dedup? = { id, ttl?, extend?, replace?, keep?, reschedule? },
--          group?, rates? = { { count, per } ... } }   ttl and per in ms; policy wait | fail | continue | ignore | remove
-- Reply    as add.lua, { id, fresh, deduplicated? }; { missing = { queue, id } } where one comes after a job that is not there;
--          { full_group = { queue, group, size } }
-- Events   as add.lua; deduplicated; removed (replaced); delayed (rescheduled); failed (it comes after one that has failed)
-- BullMQ   its deduplication, whole. One parent a job is all it knows: what else comes after a job stands in `then:<id>`
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/discard.lua
--! include lib/insert.lua
--! include lib/edges.lua
--! include lib/dedup.lua

local before = earlier()
if before then return before end
if req.register then call('SADD', 'corral:' .. req.prefix .. '::queues', unpack(req.register)) end
local function too_large(jobs)
  for _, job in ipairs(jobs) do
    if job.group then return grouping().refusal(jobs) end
  end
  return nil
end

local answers = {}
for i, group in ipairs(req.groups) do
  answers[i] = missing_after(group) or too_large(group) or add_limit_hit(group) or insert_all(group, true)
end
conclude()
return reply(answers)

-- add.lua - new jobs of any queues, parents before their children; each group is added whole or not at all.
--
-- Keys     wait prioritized pc delayed waiting-children marker id events meta <id> <parent>:dependencies; all queues of the jobs
--          own: settings state queues op
-- Request  { queue, prefix, now?, register? = { queue ... }, groups = { { job ... } ... } }
--          job = { queue, name, data, opts, id?, delay?, at?, priority?, lifo?, parent? = { queue, id, json }, children?, lifespan?,
--          schedule?, slot? }
--          in place of groups, for jobs of `queue` with nothing of what has a question mark: plain = { name, opts, { data ... },
--          name, opts, { data ... } ... }, sizes? = { n ... } of the groups when there are several
-- Reply    { { { id, fresh } ... } | first number | { full = { queue, count, per_ms, retry_ms } } ... }, one for each group; the first
--          number alone when all groups of plain jobs were added
-- Events   added, then waiting | delayed | waiting-children; duplicated
-- BullMQ   its add scripts, for many jobs at once; Node workers of the queue are woken by the same marker
--! include lib/call.lua

local before = earlier()
if before then return before end
if req.register then call('SADD', 'corral:' .. req.prefix .. '::queues', unpack(req.register)) end
--! include lib/plain.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/release.lua
--! include lib/insert.lua

-- Plain jobs as others are written.
local function spelled_out(plain, sizes)
  local jobs, groups = {}, {}
  for at = 1, #plain, 3 do
    for _, data in ipairs(plain[at + 2]) do
      jobs[#jobs + 1] = { queue = req.queue, name = plain[at], opts = plain[at + 1], data = data }
    end
  end
  local from = 1
  for i, size in ipairs(sizes or { #jobs }) do
    groups[i] = {}
    for k = from, from + size - 1 do groups[i][k - from + 1] = jobs[k] end
    from = from + size
  end
  return groups
end

local answers, added = {}, 0
for i, group in ipairs(req.groups or spelled_out(req.plain, req.sizes)) do
  answers[i] = add_limit_hit(group) or insert_all(group, true)
  added = added + #group
end
mark_due()
-- One by one, every fiftieth trims for all of them: a command less is 3 % of a single add.
local number = type(answers[1]) == 'number' and answers[1] or 0
if added >= 50 or number % 50 < added then trim_events() end
return reply(answers)

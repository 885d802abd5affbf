-- lib/ready.lua - the jobs that can be claimed: their list, how many they are, and the markers that wake sleeping workers.

local grouping -- lib/groups.lua

local function is_open(q)
  local m = meta(q)
  return not m.paused and (not m.concurrency or call('LLEN', q.active) < m.concurrency)
end

-- Wake a worker, once a call: there is something to claim.
local function wake(q)
  if not rawget(q, 'woken') then
    q.woken = true
    if is_open(q) then call('ZADD', q.marker, '0', '0') end
  end
end

-- The list of ready jobs: `wait`. While BullMQ 5 has the queue paused it is `paused`, which its resume puts in the place of `wait`,
-- whatever is there.
local function ready_list(q)
  local m = meta(q)
  if not m.paused then return q.wait end
  if m.legacy == nil then m.legacy = string.sub(m.version, 1, 8) == 'bullmq:5' or call('EXISTS', q.paused) == 1 end
  return m.legacy and q.paused or q.wait
end

-- Tell sleeping workers when the next delayed job falls due.
local function mark_due()
  for _, q in pairs(queues_by_base) do
    if rawget(q, 'later') then
      local first = call('ZRANGE', q.delayed, 0, 0, 'WITHSCORES')
      if first[2] then call('ZADD', q.marker, tonumber(first[2]) / 4096, '1') end
    end
  end
end

-- How many jobs wait to be claimed.
local function ready_count(q)
  local count = call('LLEN', q.wait) + call('ZCARD', q.prioritized) + call('ZCARD', q.held)
  return meta(q).guarded and count + call('ZCARD', q.grouped) or count
end

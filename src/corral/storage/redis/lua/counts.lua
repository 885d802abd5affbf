-- counts.lua - how many jobs are in each state, at the same cost whether there are ten or a million.
--
-- Keys     wait paused prioritized delayed active waiting-children completed failed metrics:completed metrics:failed meta repeat id,
--          <id> of the first waiting jobs; own: held slots grouped ring; of every queue asked for
-- Request  { prefix, queues = { name ... } }
-- Reply    { { waiting, active, delayed, children, completed, failed, completed_total, failed_total,
--          added_total, paused, oldest? } ... }
-- Events   none
-- BullMQ   counts what its own readers count; `prioritized` and the list that version 5 pauses into are waiting jobs here
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/slot_count.lua

local HEADS = 25 -- waiting jobs looked at, of each key, to find the oldest

local function ready_since(q, id)
  local job = redis.pcall('HMGET', q.base .. id, 'rdy', 'timestamp')
  if job.err then return nil end
  local at = whole(job[1])
  if at == 0 then at = whole(job[2]) end
  return at > 0 and at or nil
end

-- The first jobs of the groups whose turn comes next.
local function grouped_heads(q)
  local ids = {}
  for _, gid in ipairs(call('ZRANGE', q.ring, 0, HEADS - 1)) do
    local first = call('ZRANGEBYLEX', q.grouped, '[' .. gid .. '\0', '(' .. gid .. '\1', 'LIMIT', 0, 1)[1]
    if first then ids[#ids + 1] = string.sub(first, #gid + 25) end
  end
  for _, member in ipairs(call('ZRANGE', q.grouped, 0, HEADS - 1)) do
    ids[#ids + 1] = string.sub(member, string.find(member, '\0', 1, true) + 24)
  end
  return ids
end

-- Front jobs are old, but the oldest of all may stand behind: only the first of each key are asked.
local function oldest(q)
  local first
  local heads = {
    call('LRANGE', q.wait, -HEADS, -1), call('LRANGE', q.paused, -HEADS, -1),
    call('ZRANGE', q.prioritized, 0, HEADS - 1), call('ZRANGE', q.held, 0, HEADS - 1), grouped_heads(q),
  }
  for _, ids in ipairs(heads) do
    for _, id in ipairs(ids) do
      local at = ready_since(q, id)
      if at and (not first or at < first) then first = at end
    end
  end
  return first
end

local function count(q)
  local held = call('ZCARD', q.held)
  local grouped = call('ZCOUNT', q.children, string.format('%.0f', IN_GROUP), '+inf')
  local waiting = call('LLEN', q.wait) + call('LLEN', q.paused) + call('ZCARD', q.prioritized) + held + grouped
  local delayed = call('ZCARD', q.delayed) - held
  if delayed > 0 then delayed = delayed - slots_in_delayed(q) end
  return {
    waiting = waiting,
    active = call('LLEN', q.active),
    delayed = math.max(0, delayed),
    children = call('ZCARD', q.children) - grouped,
    completed = call('ZCARD', q.completed),
    failed = call('ZCARD', q.failed),
    completed_total = whole(call('HGET', q.base .. 'metrics:completed', 'count')),
    failed_total = whole(call('HGET', q.base .. 'metrics:failed', 'count')),
    added_total = whole(call('GET', q.base .. 'id')),
    paused = call('HEXISTS', q.base .. 'meta', 'paused') == 1,
    oldest = waiting > 0 and oldest(q) or nil,
  }
end

local answers = {}
for i, name in ipairs(req.queues) do answers[i] = count(queue_named(name)) end
return reply(answers)

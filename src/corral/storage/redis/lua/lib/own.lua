-- lib/own.lua - all that corral keeps of a queue beside BullMQ's keys, and how it goes.

local LEFT_BEHIND = 250 -- jobs of groups deleted per call

local OWN_ENDS = {
  'leases', 'held', 'settings', 'state', 'minutes', 'notes', 'notes:ends', 'quarantine', 'schedules', 'slots', 'scan',
  'grouped', 'aside', 'busy', 'ring', 'blocked', 'groups', 'group_settings', 'windows', 'freed', 'idle',
  'failures', 'failures:of', 'edges', 'followed', 'dedups',
}

local function forget_figures(q)
  for _, tier in ipairs({ 'minute', 'hour', 'day' }) do
    local base = q.own .. 'series:' .. tier
    for _, start in ipairs(call('ZRANGE', base, 0, -1)) do call('UNLINK', base .. ':' .. start) end
    call('UNLINK', base)
  end
end

-- Deduplication ids outlive their owners for as long as they were told to, and what comes after a job may be in another queue.
local function forget_ties(q, name)
  for _, deid in ipairs(call('ZRANGE', q.dedups, 0, -1)) do call('DEL', q.base .. 'de:' .. deid, q.base .. 'dn:' .. deid) end
  for _, id in ipairs(call('SMEMBERS', q.edges)) do tell_after(q, id, 'removed', nil, name) end
  for _, id in ipairs(call('SMEMBERS', q.own .. 'followed')) do call('DEL', q.own .. 'then:' .. id) end
end

local function forget_queue(q, name)
  local limits = caps(q)
  for capped in pairs(limits or {}) do call('UNLINK', q.held .. ':' .. capped) end
  forget_figures(q)
  forget_ties(q, name)
  for _, ends in ipairs(OWN_ENDS) do call('UNLINK', q.own .. ends) end
  call('SREM', 'corral:' .. req.prefix .. '::queues', name)
end

-- BullMQ's obliterate leaves `waiting-children` as it is, and in it the jobs that waited in groups; some of them go.
local function drop_grouped(q)
  local members = call('ZRANGE', q.grouped, 0, LEFT_BEHIND - 1)
  for _, member in ipairs(members) do
    local id = string.sub(member, string.find(member, '\0', 1, true) + 24)
    local since = call('ZSCORE', q.children, id)
    if since and tonumber(since) >= IN_GROUP then
      call('ZREM', q.children, id)
      delete_keys(q, id)
    end
  end
  if #members > 0 then call('ZREM', q.grouped, unpack(members)) end
  return #members
end

-- It leaves corral's keys behind, too: the queue had jobs, and now it has neither settings nor a counter.
local function tidy_after_node(q, name)
  if call('HGET', q.state, 'founded') and call('EXISTS', q.base .. 'meta', q.base .. 'id') == 0 then
    if drop_grouped(q) < LEFT_BEHIND then forget_queue(q, name) end
  end
end

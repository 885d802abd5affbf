-- groups.lua - groups of a queue, a stretch of them by id.
--
-- Keys     own: groups grouped aside busy group_settings windows settings
-- Request  { queue, prefix, start, limit }
-- Reply    { total, found = { { id, waiting, active, own (JSON) or '', free or -1 } ... } }   `free`: the end of the last window that
--          is used up, which may be over
-- Events   none
-- BullMQ   has no groups
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/place.lua

local groups, found = grouping(), {}

local function count_in(key, gid)
  local from, to = groups.range_of(gid)
  return call('ZLEXCOUNT', key, from, to)
end

-- Whether a window is still open is not asked: the caller has a clock of its own.
local function free_at(g)
  local last = -1
  for _, rate in ipairs(groups.limits_of(queue, g).rates or {}) do
    local w = groups.windows_of(queue, g)[string.format('%.0f/%.0f', rate.count, rate.per)]
    if w and w.used >= rate.count then last = math.max(last, w.began + w.per) end
  end
  return last
end

for i, gid in ipairs(call('ZRANGE', queue.groups, req.start, req.start + req.limit - 1)) do
  local g = groups.group_of(queue, gid)
  found[i] = { gid, count_in(queue.grouped, gid) + count_in(queue.aside, gid), count_in(queue.busy, gid),
    call('HGET', queue.group_settings, gid) or '', free_at(g) }
end
return reply({ total = call('ZCARD', queue.groups), found = found })

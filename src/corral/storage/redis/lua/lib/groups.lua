-- lib/groups.lua - the door to everything about groups, holds and further windows. What is behind it is defined when it is first
-- asked for: scripts define all their functions at each call, and most queues have no groups (2 µs of closures a call).
--
-- `meta(q).guarded` says whether a queue has any of it: a field of `meta`, which is read anyway. It is set by the first group or
-- hold and taken away by recover when nothing of it is left.

-- Take a parent out of where it waits for its children; false when it waits no longer.
local function unpark(q, id)
  local since = call('ZSCORE', q.children, id)
  return since and tonumber(since) < IN_GROUP and call('ZREM', q.children, id) == 1
end

local unhold_one -- lib/hold.lua
local groups

grouping = function()
  if groups then return groups end
  --! include lib/ring.lua
  --! include lib/limits.lua
  groups = {
    put = put, put_at = put_at, set_aside = set_aside, come_back = come_back, withdraw = withdraw, leave = leave, settled = settled,
    regroup = regroup, free = free, heal = heal, refusal = refusal, set_rates = set_rates, change = change_group, limited = limited,
    hold_queue = hold_queue, queue_limits = queue_limits, guard = guard, unguard = unguard, group_of = group_of,
    limits_of = limits_of, blocked_until = blocked_until, running_of = running_of, split = split, range_of = range_of,
    windows_of = windows_of, waiting = waiting, block = block, read_windows = read_windows, window_text = window_text,
    foresee = foresee, full_until = full_until, room_in = room_in, spend = spend,
  }
  return groups
end

-- lib/info.lua - how a queue is set up, as the caller gets it: { name, paused?, concurrency?, max?, duration?, pause_reason?,
-- add_count?, add_per?, names?, keep_completed?, keep_failed?, more?, name_limits?, group_limits?, hold_until?, hold_reason?,
-- hold_probe? }, all as stored: times and durations in ms, `names`, `keep_*`, `more` and `*_limits` as JSON.

local META = { 'paused', 'concurrency', 'max', 'duration' }
local SETTINGS = { 'pause_reason', 'add_count', 'add_per', 'names', 'keep_completed', 'keep_failed', 'more', 'name_limits',
  'group_limits', 'hold_until', 'hold_reason', 'hold_probe' }

local function read_settings(into, key, fields)
  for i, value in ipairs(call('HMGET', key, unpack(fields))) do into[fields[i]] = value or nil end
end

local function info_of(q, name)
  local info = { name = name }
  read_settings(info, q.base .. 'meta', META)
  read_settings(info, q.settings, SETTINGS)
  return info
end

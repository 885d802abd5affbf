-- lib/plain.lua - plain jobs into a queue with nothing special about it: answers the call, or goes on to those who know more.
--
-- Nearly all calls end here, before any of the functions below is defined: that is half of what an add of one job costs (32 µs to 17).

local plain = req.plain
local settled = plain and call('HMGET', KEYS[1] .. 'meta', 'paused', 'concurrency', 'opts.maxLenEvents', 'corral:bounds')
-- In use, not paused, and its producers have no limit.
if plain and settled[3] and not settled[1] and not (settled[4] and call('HGET', KEYS[2] .. 'settings', 'add_count')) then
  local base, events, format = KEYS[1], KEYS[1] .. 'events', string.format
  local added, ids = 0, {}
  for at = 3, #plain, 3 do added = added + #plain[at] end
  local last = call('INCRBY', base .. 'id', added)
  local first = last - added + 1
  local digits = last < 2147483648 and '%d' or '%.0f' -- the former is quicker, and may have 32 bits
  for at = 1, #plain, 3 do
    local name, opts, texts = plain[at], plain[at + 1], plain[at + 2]
    for i = 1, #texts do
      local id = format(digits, first + #ids)
      ids[#ids + 1] = id
      call('HSET', base .. id, 'name', name, 'data', texts[i], 'opts', opts, 'timestamp', now_text, 'delay', '0', 'priority', '0')
      if given then
        call('XADD', events, '*', 'event', 'added', 'at', now_text, 'jobId', id, 'name', name)
        call('XADD', events, '*', 'event', 'waiting', 'at', now_text, 'jobId', id)
      else
        call('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', name)
        call('XADD', events, '*', 'event', 'waiting', 'jobId', id)
      end
    end
  end
  for from = 1, added, 1000 do call('LPUSH', base .. 'wait', unpack(ids, from, math.min(from + 999, added))) end
  if not settled[2] or call('LLEN', base .. 'active') < (tonumber(settled[2]) or math.huge) then
    call('ZADD', base .. 'marker', '0', '0')
  end
  -- One by one, every fiftieth trims for all of them: a command less is 3 % of a single add.
  if added >= 50 or first % 50 < added then
    call('XTRIM', events, 'MAXLEN', '~', tonumber(settled[3]) or 10000, 'LIMIT', 0)
  end
  return reply(first)
end

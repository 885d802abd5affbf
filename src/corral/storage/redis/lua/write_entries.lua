-- write_entries.lua - change entries: texts with a version, of one kind, that belong to no queue.
--
-- Keys     own: entries:<kind> entry_ids:<kind> entry_ends op, all of the empty queue
-- Request  { prefix, now?, kind, changes = { { id, text or false, version or -1, ttl or 0 } ... }, keep? }
--          a text of false deletes; a version of -1 is any; ttl in ms, 0: none
-- Reply    { answers = { new version, 0: it was deleted or was not there, -1: another version was there ... }, more: there
--          is more to forget than one call does }
-- Events   none
-- BullMQ   has nothing like it
--! include lib/call.lua

local FORGOTTEN = 1000 -- entries that are over, or beyond those to be kept, per call

local before = earlier()
if before then return before end

local ends = KEYS[2] .. 'entry_ends'
local texts, ids = KEYS[2] .. 'entries:' .. req.kind, KEYS[2] .. 'entry_ids:' .. req.kind

for _, one in ipairs(call('ZRANGEBYSCORE', ends, '-inf', now_text, 'LIMIT', 0, FORGOTTEN)) do
  local kind, id = string.match(one, '^(%Z*)%z(.*)$')
  call('HDEL', KEYS[2] .. 'entries:' .. kind, id)
  call('ZREM', KEYS[2] .. 'entry_ids:' .. kind, id)
  call('ZREM', ends, one)
end

-- The version that is there now; 0: none.
local function version_of(id)
  local stored = call('HGET', texts, id)
  if not stored then return 0 end
  local version, over = string.match(stored, '^(%d+):%d+:(%d+):')
  return (over == '0' or tonumber(over) > now) and tonumber(version) or 0
end

local function change(id, text, version, ttl)
  local there = version_of(id)
  if not text and there == 0 then return 0 end
  if version >= 0 and version ~= there then return -1 end
  if not text then
    call('HDEL', texts, id)
    call('ZREM', ids, id)
    call('ZREM', ends, req.kind .. '\0' .. id)
    return 0
  end
  local over = ttl > 0 and string.format('%.0f', now + ttl) or '0'
  call('HSET', texts, id, string.format('%.0f:%s:%s:', there + 1, now_text, over) .. text)
  call('ZADD', ids, 0, id)
  if ttl > 0 then
    call('ZADD', ends, over, req.kind .. '\0' .. id)
  else
    call('ZREM', ends, req.kind .. '\0' .. id)
  end
  return there + 1
end

local answers = {}
for i, one in ipairs(req.changes) do answers[i] = change(one[1], one[2], one[3], one[4]) end

local more = false
if req.keep then
  local beyond = call('ZCARD', ids) - req.keep
  if beyond > 0 then
    more = beyond > FORGOTTEN
    local old = call('ZRANGE', ids, 0, math.min(beyond, FORGOTTEN) - 1)
    call('HDEL', texts, unpack(old))
    call('ZREM', ids, unpack(old))
    for i, id in ipairs(old) do old[i] = req.kind .. '\0' .. id end
    call('ZREM', ends, unpack(old))
  end
end
return reply({ answers = answers, more = more })

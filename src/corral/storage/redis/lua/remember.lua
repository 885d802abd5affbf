-- remember.lua - the ledger of effects: the first note under a key stands until its time is over.
--
-- Keys     own: notes notes:ends op; shared: queues
-- Request  { queue, prefix, now?, key, value?, replace?, ttl? }   without a value it only looks; ttl in ms
-- Reply    the note as it was before, or nil
-- Events   none
-- BullMQ   has nothing like it
--! include lib/call.lua
--! include lib/keys.lua

local OVER = 1000 -- notes that are over, forgotten per call: a million of them must not stop the store

local before = earlier()
if before then return before end
local ends = queue.notes .. ':ends'
local over = call('ZSCORE', ends, req.key)
local note = not (over and tonumber(over) <= now) and call('HGET', queue.notes, req.key) or nil
if req.value then
  call('SADD', 'corral:' .. req.prefix .. '::queues', req.queue)
  local old = call('ZRANGEBYSCORE', ends, '-inf', now_text, 'LIMIT', 0, OVER)
  if #old > 0 then
    call('HDEL', queue.notes, unpack(old))
    call('ZREM', ends, unpack(old))
  end
  if not note or req.replace then
    call('HSET', queue.notes, req.key, req.value)
    if req.ttl then
      call('ZADD', ends, string.format('%.0f', now + req.ttl), req.key)
    else
      call('ZREM', ends, req.key)
    end
  end
end
return reply(note)

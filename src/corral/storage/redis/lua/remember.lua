-- remember.lua - the ledger of effects: the first note under a key stands until its time is over.
--
-- Keys     own: notes notes:ends op; shared: queues
-- Request  { queue, prefix, now?, key, value?, replace?, ttl?, lease? = { queue, job_id, token } }   without a value it only
--          looks; ttl in ms; refused with `lease` when it is not held: whoever lost its job must not write
-- Reply    the note as it was before, or nil
-- Events   none
-- BullMQ   has nothing like it
--! include lib/call.lua
--! include lib/keys.lua

local OVER = 1000 -- notes that are over, forgotten per call: a million of them must not stop the store

local before = earlier()
if before then return before end
if req.value and req.lease then
  local q, id = queue_named(req.lease.queue), req.lease.job_id
  if call('GET', q.base .. id .. ':lock') ~= req.lease.token or not call('ZSCORE', q.leases, id) then
    refuse('lease', cjson.encode({ req.lease.queue, id }))
  end
end
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

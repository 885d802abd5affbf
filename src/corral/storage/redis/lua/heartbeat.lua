-- heartbeat.lua - be seen, renew leases, learn which runs to stop.
--
-- Keys     <id> <id>:lock stalled of every queue; own: leases; shared: workers workers:seen
-- Request  { prefix, now?, id, seen (the worker as JSON) | goodbye, lease, leases = { { queue, id, token } ... } }
-- Reply    { now, lost = { n ... }, cancelled = { { n, reason } ... } }   (n counts the leases from 1)
-- Events   none
-- BullMQ   extends the same locks; Node finds workers by their connections' names instead
--! flags allow-oom
--! include lib/call.lua
--! include lib/keys.lua

local SEEN_MS = 3600000 -- workers that were silent for longer are forgotten
local lost, cancelled = {}, {}

-- An earlier end of the lease is only written when half of it is gone. One more than 1.5 leases ahead means that the clock went
-- back: it is brought in, or the job would hang for as long.
local function renew(n, lease)
  local q, id, token = queue_named(lease[1]), lease[2], lease[3]
  local key = q.base .. id
  local ends = tonumber(call('ZSCORE', q.leases, id) or nil)
  if not ends or call('GET', key .. ':lock') ~= token then
    lost[#lost + 1] = n
    return
  end
  local reason = call('HGET', key, 'cancel')
  if reason then cancelled[#cancelled + 1] = { n, reason } end
  if ends <= now + req.lease / 2 or ends > now + req.lease * 1.5 then
    call('ZADD', q.leases, now + req.lease, id)
    if not given then call('PEXPIRE', key .. ':lock', 2 * req.lease) end
    call('SREM', q.stalled, id)
  end
end

local function be_seen()
  local workers, seen = KEYS[2] .. 'workers', KEYS[2] .. 'workers:seen'
  if req.goodbye then
    call('HDEL', workers, req.id)
    call('ZREM', seen, req.id)
    return
  end
  local last = tonumber(call('ZSCORE', seen, req.id) or nil)
  if last and now - last >= 0 and now - last < math.floor(req.lease / 3) and call('HGET', workers, req.id) == req.seen then return end
  call('HSET', workers, req.id, req.seen)
  call('ZADD', seen, now, req.id)
  local silent = call('ZRANGEBYSCORE', seen, '-inf', '(' .. string.format('%.0f', now - SEEN_MS), 'LIMIT', 0, 100)
  if #silent > 0 then
    call('HDEL', workers, unpack(silent))
    call('ZREM', seen, unpack(silent))
  end
end

for n, lease in ipairs(req.leases) do renew(n, lease) end
be_seen()
return reply({ now = now, lost = lost, cancelled = cancelled })

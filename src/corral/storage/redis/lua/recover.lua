-- recover.lua - take back the jobs of dead workers, a slice at a time.
--
-- Keys     active wait prioritized failed events stalled marker <id> <id>:lock; own: leases held scan settings, all of them
-- Request  { queue, prefix, now?, crashes, limit, reason, expect? }   `expect`: what time it should be here, by the caller's own clock
-- Reply    { now, jumped?, requeued = { id ... }, quarantined = { id ... }, more }
-- Events   stalled, then waiting | failed
-- BullMQ   jobs of Node's workers have a lock but no lease here: without a lock they are marked in `stalled`, and taken back when
--          they still are without one at the next look, as Node's own check does
--! flags allow-oom
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/verdict.lua
--! include lib/own.lua
--! include lib/healing.lua

local SLICE = 150 -- jobs taken back per call: 4 ms, 7 when they all end in quarantine
local JUMP_MS = 2000 -- a clock that is so far from where it should be has jumped: no lease may end by that

local before = earlier()
if before then return before end
if req.expect and not given and now - req.expect > JUMP_MS then
  return reply({ now = now, jumped = true, requeued = {}, quarantined = {}, more = false })
end

local slice = math.min(req.limit, SLICE)

-- Leases that have run out.
local function expired()
  return call('ZRANGEBYSCORE', queue.leases, '-inf', now, 'LIMIT', 0, slice)
end

-- Active jobs of Node's workers that lost their lock before the last look; the others are looked at again next time.
local function abandoned()
  local found = {}
  local from = whole(call('GET', queue.scan))
  local ids = call('LRANGE', queue.active, from, from + slice - 1)
  for _, id in ipairs(ids) do
    if not call('ZSCORE', queue.leases, id) and call('EXISTS', queue.base .. id .. ':lock') == 0
      and call('SADD', queue.stalled, id) == 0 then
      found[#found + 1] = id
    end
  end
  if #ids == slice then
    call('SET', queue.scan, from + slice - #found, 'PX', 60000)
  elseif from > 0 then
    call('DEL', queue.scan)
  end
  return found
end

local active -- the ids in `active`, read when they are asked for

local function runs(id)
  if call('ZSCORE', queue.leases, id) then return true end
  if not active then
    active = {}
    for _, one in ipairs(call('LRANGE', queue.active, 0, -1)) do active[one] = true end
  end
  return active[id] == true
end

local ids, more = expired(), false
more = #ids == slice
if not more then
  for _, id in ipairs(abandoned()) do ids[#ids + 1] = id end
end
local requeued, quarantined, back = {}, {}, {}
if #ids > 0 then
  local places, lost = take_out(queue, ids), {}
  for _, id in ipairs(ids) do
    if places[id] then
      local job = look_closer(queue, look(queue, id))
      if job then
        job.position = places[id]
        lost[#lost + 1] = job
      else
        unhold_all(queue)
      end
    end
  end
  leave_active(queue, ids)
  sort_back(lost)
  for _, job in ipairs(lost) do
    local crashes, most = count_crash(queue, job, req.reason)
    tell(queue, 'stalled', 'jobId', job.id, 'name', job.name, 'reason', req.reason)
    if job.cancel or crashes >= (most or req.crashes) then
      local reason = job.cancel and cancelled(job.cancel) or quarantine_reason(crashes, req.reason)
      fail(queue, job, reason, nil, stored_keep(queue), 0)
      quarantined[#quarantined + 1] = job.id
    else
      call('HSET', queue.base .. job.id, 'rdy', now)
      tell(queue, 'waiting', 'jobId', job.id, 'prev', 'active', 'name', job.name, 'corral', 'stalled')
      back[#back + 1] = job
      requeued[#requeued + 1] = job.id
    end
  end
  put_back(queue, back)
  if caps(queue) then
    for _, job in ipairs(lost) do unhold(queue, job.name) end
  end
  if #lost > 0 then
    tell_idle(queue)
    if ready_count(queue) > 0 then wake(queue) end
  end
end
if meta(queue).guarded then
  local groups = grouping()
  groups.settled(queue)
  groups.heal(queue, runs)
  groups.unguard(queue)
end
drop_stale_holds(queue)
more = heal_edges(queue) or more
tidy_after_node(queue, req.queue)
-- What a Node program deletes with `meta` is noted there again.
if not meta(queue).bounded and call('EXISTS', queue.base .. 'meta') == 1 then mark_bounds(queue) end
conclude()
return reply({ now = now, requeued = requeued, quarantined = quarantined, more = more })

-- fire_schedule.lua - turn the pending slot of a schedule into jobs, and arm the next one.
--
-- Keys     as add.lua, and repeat repeat:<key> completed failed; own: schedules op
-- Request  { queue, prefix, now?, key, slot, next_at?, jobs = as in add.lua | claimed (the slot's own job was claimed, it is the run) }
-- Reply    { { id, fresh } ... } | false: another scheduler or a Node worker was first
-- Events   as add.lua
-- BullMQ   a worker that claims a scheduler's job makes the next one; here the scheduler does
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/discard.lua
--! include lib/insert.lua
--! include lib/edges.lua
--! include lib/dedup.lua
--! include lib/cadence.lua
--! include lib/arming.lua

local before = earlier()
if before then return before end

-- Whether the slot is still this caller's to fire.
local function pending(s)
  if not s or s.paused or not s.next_at then return false end
  catch_up(queue, req.key, s)
  if s.gone then
    forget(queue, req.key)
  elseif s.moved then
    save(queue, req.key, s)
  end
  return not s.gone and not s.edited and s.next_at == req.slot
end

local function unfinished(s)
  local id = cjson.decode('[' .. s.last_job .. ']')[1]
  return type(id) == 'string' and call('EXISTS', queue.base .. id) == 1
    and not call('ZSCORE', queue.completed, id) and not call('ZSCORE', queue.failed, id)
end

-- The jobs of the slot; nil when a Node worker has it.
local function runs(s)
  if req.claimed then
    local id = slot_id(req.key, req.slot)
    if call('HEXISTS', queue.base .. id, 'slot') == 1 then return nil end
    call('HSET', queue.base .. id, 'slot', req.slot)
    return { { id, true } }
  end
  local found = s.silent and 'free' or withdraw(queue, req.key, req.slot)
  if found == 'taken' then return nil end
  if s.skips and unfinished(s) then return {} end
  if found == 'gone' and not req.next_at and #req.jobs > 0 then
    -- A Node worker makes no job after the last one: it has run that and kept nothing of it.
    local last = slot_id(req.key, req.slot)
    return { { last, false } }
  end
  return insert_all(as_runs(queue, req.key, s, req.jobs))
end

local function fire()
  local s = stored(queue, req.key)
  local added = pending(s) and runs(s)
  if not added then return false end
  if #added > 0 then s.last_job = cjson.encode(added[#added][1]) end
  s.last_at, s.fired, s.next_at = digits(req.slot), s.fired + #added, req.next_at
  arm(queue, req.key, s)
  save(queue, req.key, s)
  return added
end

local answer = fire()
conclude()
return reply(answer)

-- lib/slot.lua - what stands for the next run of a schedule: `repeat:<key>:<ms>`, corral's and Node's alike. It is nobody's job
-- yet, so nothing that is done to many jobs is done to it.

local function schedule_of(id)
  return string.sub(id, 1, 7) == 'repeat:' and string.match(id, '^repeat:(.*):%d+$') or nil
end

-- A job that was made for its slot, or was claimed (and may stand there again for a retry), is a job as any other.
local function is_job(q, id)
  local job = redis.pcall('HMGET', q.base .. id, 'slot', 'ats')
  return job.err or job[1] or job[2]
end

-- The place of one of corral's own schedules: its scheduler turns it into a job, workers leave it.
local function is_slot(q, id)
  local key = schedule_of(id)
  return key ~= nil and call('HEXISTS', q.schedules, key) == 1 and not is_job(q, id)
end

-- Either corral's, or the pending job of one of Node's schedulers, which whoever claims it goes on from.
local function is_pending_run(q, id)
  local key = schedule_of(id)
  if not key or is_job(q, id) then return false end
  if call('HEXISTS', q.schedules, key) == 1 then return true end
  local due = tonumber(call('ZSCORE', q.base .. 'repeat', key) or nil)
  return due ~= nil and id == 'repeat:' .. key .. ':' .. string.format('%.0f', due)
end

-- lib/locate.lua - where a job is, and the job as it is shown.
--
-- The key that has the id is the state; there is no field for it. `wait` may have a million entries, so it is never searched: a job
-- that is nowhere else waits.

local ASKED = 3 -- so many times `active` is searched by the server; from then on it is read once

local function is_active(q, id)
  local running = rawget(q, 'running')
  if running then return running[id] == true end
  local asked = rawget(q, 'asked') or 0
  q.asked = asked + 1
  if asked < ASKED then return call('LPOS', q.active, id) and true or false end
  running = {}
  for _, one in ipairs(call('LRANGE', q.active, 0, -1)) do running[one] = true end
  rawset(q, 'running', running)
  return running[id] == true
end

-- completed | failed | delayed | held | prioritized | waiting-children | grouped | active | waiting, and the score behind it. `held`,
-- `prioritized` and `grouped` are waiting too. The job itself need not be there.
local function locate(q, id)
  local score = call('ZSCORE', q.completed, id)
  if score then return 'completed', tonumber(score) end
  score = call('ZSCORE', q.failed, id)
  if score then return 'failed', tonumber(score) end
  score = call('ZSCORE', q.delayed, id)
  if score then return call('ZSCORE', q.held, id) and 'held' or 'delayed', tonumber(score) end
  score = call('ZSCORE', q.prioritized, id)
  if score then return 'prioritized', tonumber(score) end
  score = call('ZSCORE', q.children, id)
  if score then return tonumber(score) < IN_GROUP and 'waiting-children' or 'grouped', tonumber(score) end
  return is_active(q, id) and 'active' or 'waiting', nil
end

-- The job as the caller gets it: { id, state, due or -1, pending children, { field, value … } }, and about how many bytes that is.
-- Nil when nothing, or no job, is under its key.
local function shown(q, id, state, due)
  local key = q.base .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err or #fields == 0 then return nil, 0 end
  local pending = redis.pcall('SCARD', key .. ':dependencies')
  local size = 0
  for i = 2, #fields, 2 do size = size + #fields[i] end
  return { id, state, due or -1, type(pending) == 'number' and pending or 0, fields }, size
end

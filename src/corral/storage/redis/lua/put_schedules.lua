-- put_schedules.lua - create or replace schedules of any queues; what they have done so far is kept.
--
-- Keys     repeat repeat:<key> delayed marker <id> of every queue; own: schedules op; shared: queues
-- Request  { prefix, now?, schedules = { { queue, key, body, fields } ... } }   `body` the schedule as JSON; `fields` name and value
--          by turns of `repeat:<key>`, with `corral`: priority and the beginning of the options of its jobs
-- Reply    { { fired, last_at?, last_job_id? } | false ... }   what was kept of each
-- Events   none: the job that stands for a slot is no job yet
-- BullMQ   its upsert of job schedulers
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua
--! include lib/cadence.lua
--! include lib/arming.lua

local before = earlier()
if before then return before end

-- What is there already, with what Node has made of it. One of Node's own is taken over with its count.
local function predecessor(q, key)
  local s = stored(q, key)
  if s then
    catch_up(q, key, s)
    return not s.gone and s or nil
  end
  if not slot_of(q, key) then return nil end
  local created = redis.pcall('HGET', definition(q, key), 'ic')
  local count = type(created) == 'string' and tonumber(created) or 1
  return { fired = math.max(0, count - 1), last_at = 'null', last_job = 'null' }
end

local function put(one)
  local q = queue_named(one.queue)
  call('SADD', 'corral:' .. req.prefix .. '::queues', one.queue)
  local old, s = predecessor(q, one.key), read_body(one.body)
  local kept = false
  if old then
    s.fired, s.last_at, s.last_job = old.fired, old.last_at, old.last_job
    kept = { fired = s.fired, last_at = tonumber(s.last_at), last_job_id = cjson.decode('[' .. s.last_job .. ']')[1] }
    if kept.last_job_id == cjson.null then kept.last_job_id = nil end
  end
  local at = slot_of(q, one.key)
  if at then withdraw(q, one.key, at) end
  save(q, one.key, s)
  arm(q, one.key, s, one.fields)
  return kept
end

local answers = {}
for i, one in ipairs(req.schedules) do answers[i] = put(one) end
conclude()
return reply(answers)

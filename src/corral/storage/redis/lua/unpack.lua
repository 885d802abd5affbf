-- unpack.lua - jobs of another store, under their own ids, each behind the others of its state and priority.
--
-- Keys     wait paused prioritized pc delayed waiting-children completed failed marker meta <id> de:*; own: held op; shared: queues
-- Request  { queue, prefix, jobs = { { id, state, at, priority, fields = { name, value ... }, over? = { state, ats }, place?, de?,
--          de_until?, kept? = { field, value ... } } ... } }
--          `at`: due, ended or parked, in ms. `over`: what stands there now; the job is only replaced while that
--          holds. `place`: it is the same job, only its place is changed
-- Reply    { happened ... }
-- Events   none: nothing happened to these jobs
-- BullMQ   writes what its own scripts would have
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/slot.lua
--! include lib/locate.lua

local WORDS = { held = 'waiting', prioritized = 'waiting', grouped = 'waiting' }
local CONTAINERS = { ['waiting-children'] = 'children', completed = 'completed', failed = 'failed', delayed = 'delayed',
  prioritized = 'prioritized' }

local before = earlier()
if before then return before end

local function take_out(id, where)
  if where == 'held' then
    release_hold(queue, id)
    call('ZREM', queue.delayed, id)
  elseif where == 'grouped' then
    grouping().withdraw(queue, { id })
  elseif CONTAINERS[where] then
    call('ZREM', queue[CONTAINERS[where]], id)
  elseif call('LREM', queue.wait, -1, id) == 0 then
    call('LREM', queue.paused, -1, id)
  end
end

-- The milliseconds, and in three decimals the place among those of the same one.
local function end_score(key, at)
  local last = call('ZREVRANGEBYSCORE', key, '(' .. string.format('%.0f', at + 1), string.format('%.0f', at), 'WITHSCORES', 'LIMIT', 0, 1)
  if not last[2] then return string.format('%.0f', at) end
  local place = math.floor((tonumber(last[2]) - at) * 1000 + 0.5) + 1
  return string.format('%.0f.%03d', at, math.min(place, 999))
end

local function put(job)
  if job.state == 'waiting' then
    put_ready(queue, job.id, job.priority, false, call('HGET', queue.base .. job.id, 'gid') or nil)
  elseif job.state == 'delayed' then
    put_delayed(queue, job.id, job.at)
  elseif job.state == 'waiting-children' then
    call('ZADD', queue.children, string.format('%.0f', job.at), job.id)
  else
    call('ZADD', queue[job.state], end_score(queue[job.state], job.at), job.id)
  end
end

local function write(job)
  local key = queue.base .. job.id
  local before_id = redis.pcall('HGET', key, 'deid')
  if type(before_id) == 'string' and call('GET', queue.base .. 'de:' .. before_id) == job.id then
    call('DEL', queue.base .. 'de:' .. before_id, queue.base .. 'dn:' .. before_id)
  end
  call('DEL', key)
  for from = 1, #job.fields, 1000 do call('HSET', key, unpack(job.fields, from, math.min(from + 999, #job.fields))) end
  if job.de then
    if job.de_until then
      call('SET', queue.base .. 'de:' .. job.de, job.id, 'PXAT', string.format('%.0f', job.de_until))
      call('ZADD', queue.dedups, string.format('%.0f', job.de_until), job.de)
    else
      call('SET', queue.base .. 'de:' .. job.de, job.id)
    end
    if job.kept then
      call('DEL', queue.base .. 'dn:' .. job.de)
      call('HSET', queue.base .. 'dn:' .. job.de, unpack(job.kept))
    end
  end
  if call('EXISTS', queue.own .. 'then:' .. job.id) == 1 then -- those that come after it were here first
    call('HSET', key, 'then', 1)
    call('SADD', queue.own .. 'followed', job.id)
    if job.state ~= 'completed' then call('SADD', queue.edges, job.id) end
  end
end

-- Whether the job may be written: nothing is there, or what the caller has seen. What stands for a schedule's next run makes room.
local function make_room(job)
  local key = queue.base .. job.id
  if call('EXISTS', key) == 0 then return not job.over end
  local where = locate(queue, job.id)
  if not job.over then
    if not is_pending_run(queue, job.id) then return false end
  else
    local ats = redis.pcall('HGET', key, 'ats')
    if type(ats) == 'table' or (WORDS[where] or where) ~= job.over[1] or (whole(ats)) ~= job.over[2] then
      return false
    end
  end
  take_out(job.id, where)
  return true
end

call('SADD', 'corral:' .. req.prefix .. '::queues', req.queue)
call('HSETNX', queue.base .. 'meta', 'opts.maxLenEvents', 10000)
local happened = {}
for i, job in ipairs(req.jobs) do
  happened[i] = make_room(job)
  if happened[i] then
    if not job.place then write(job) end
    put(job)
  end
end
conclude()
return reply(happened)

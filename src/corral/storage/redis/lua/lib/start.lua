-- lib/start.lua - jobs start: their locks and leases, and what the caller gets of them.

local LOCK_SLACK = 2 -- a lock outlives its lease, so that a verdict that is a little late still counts
local FROZEN_MS = 86400000 -- when a test says what time it is, the server's own clock must not end locks

-- The fields that decide whether a job may run now.
local WATCHED = { ats = true, exp = true, defa = true, mild = true, name = true, priority = true, hold = true, cancel = true, gid = true }

local function glance(fields)
  if #fields == 12 and fields[1] == 'name' and fields[11] == 'priority' then return { name = fields[2], priority = fields[12] } end
  local seen = {}
  for i = 1, #fields, 2 do
    if WATCHED[fields[i]] then seen[fields[i]] = fields[i + 1] end
  end
  return seen
end

-- Whether these are the fields of a job that nothing has happened to, and that has nothing special.
local function is_new(fields)
  return #fields == 12 and fields[12] == '0' and fields[1] == 'name' and fields[3] == 'data' and fields[5] == 'opts'
    and fields[7] == 'timestamp' and fields[9] == 'delay' and fields[11] == 'priority'
end

-- What the caller gets of a job with nothing special: the values alone, an odd number of texts where names and values are even.
local function compact(fields)
  return is_new(fields) and { fields[2], fields[4], fields[6], fields[8], fields[10] } or fields
end

-- What the caller gets of a job. Only one with more to its hash than a new job has can have children that have not ended.
local function told(q, id, fields)
  local pending = #fields > 12 and call('SCARD', q.base .. id .. ':dependencies') or 0
  if pending == 0 then return compact(fields) end
  fields[#fields + 1], fields[#fields + 2] = 'pending', tostring(pending)
  return fields
end

-- A member that is too long for the compact encoding, in which an insertion walks over all others (2 µs at a hundred leases).
local WIDE = string.rep('-', 80)

-- Give jobs to whoever asked for them; answers their ids. `stamps` has the number of times that a job was started, as a text.
local function hand_out(q, wish, ids, names, stamps)
  local leases, count = { '+inf', WIDE }, #ids
  local base, events, token, worker = q.base, q.events, wish.token, wish.worker or ''
  local lock_ms = string.format('%.0f', given and FROZEN_MS or wish.lease * LOCK_SLACK)
  local ends = string.format('%.0f', now + wish.lease)
  q.told = true
  for i = 1, count do
    local id = ids[i]
    local key = base .. id
    leases[2 * i + 1], leases[2 * i + 2] = ends, id
    call('HSET', key, 'processedOn', now_text, 'pb', worker, 'ats', stamps[i] or '1')
    call('SET', key .. ':lock', token, 'PX', lock_ms)
    if given then
      tell(q, 'active', 'jobId', id, 'prev', 'waiting', 'name', names[i])
    else
      call('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting', 'name', names[i])
    end
  end
  call('LPUSH', q.active, unpack(ids))
  call('ZADD', q.leases, unpack(leases))
end

-- The same for jobs as they go to the caller, with their names behind.
local function start(q, wish, chosen)
  local ids, names, stamps = {}, {}, {}
  for i = 1, #chosen do
    local job = chosen[i]
    ids[i], names[i], stamps[i] = job[1], job[4], job[2] > 1 and string.format('%.0f', job[2]) or nil
    job[4] = nil
  end
  hand_out(q, wish, ids, names, stamps)
end

-- What to remember of a claim in place of the jobs themselves.
local function note_of(claimed)
  local ids = claimed.ids or {}
  if not claimed.ids then
    for i, job in ipairs(claimed.jobs) do ids[i] = job[1] end
  end
  claimed.ids = nil
  return { ids = ids, next_at = claimed.next_at, freed_at = claimed.freed_at, held_until = claimed.held_until, paused = claimed.paused }
end

-- The reply of a turn.
local function answer(refused, claimed)
  local note = { refused = refused, claimed = claimed and note_of(claimed) }
  return reply({ refused = (#refused > 0 or not claimed) and refused or nil, claimed = claimed }, note)
end

-- lib/start.lua - jobs start: their locks and leases, and what the caller gets of them.

local LOCK_SLACK = 2 -- a lock outlives its lease, so that a verdict that is a little late still counts
local FROZEN_MS = 86400000 -- when a test says what time it is, the server's own clock must not end locks

-- The fields that decide whether a job may run now.
local WATCHED = { ats = true, exp = true, defa = true, name = true, priority = true, hold = true, cancel = true, gid = true }

local function glance(fields)
  if #fields == 12 and fields[1] == 'name' and fields[11] == 'priority' then return { name = fields[2], priority = fields[12] } end
  local seen = {}
  for i = 1, #fields, 2 do
    if WATCHED[fields[i]] then seen[fields[i]] = fields[i + 1] end
  end
  return seen
end

-- What the caller gets of a job with nothing special: the values alone, an odd number of texts where names and values are even.
local function compact(fields)
  if #fields == 12 and fields[12] == '0' and fields[1] == 'name' and fields[3] == 'data' and fields[5] == 'opts'
    and fields[7] == 'timestamp' and fields[9] == 'delay' and fields[11] == 'priority' then
    return { fields[2], fields[4], fields[6], fields[8], fields[10] }
  end
  return fields
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

local function start(q, wish, chosen)
  local ids, leases = {}, { '+inf', WIDE }
  local base, token, worker = q.base, wish.token, wish.worker or ''
  local lock_ms = string.format('%.0f', given and FROZEN_MS or wish.lease * LOCK_SLACK)
  local ends = string.format('%.0f', now + wish.lease)
  local texts = {}
  for i = 1, #chosen do
    local job = chosen[i]
    local id = job[1]
    local ats = texts[job[2]]
    if not ats then
      ats = tostring(job[2])
      texts[job[2]] = ats
    end
    ids[i], leases[2 * i + 1], leases[2 * i + 2] = id, ends, id
    local key = base .. id
    call('HSET', key, 'processedOn', now_text, 'pb', worker, 'ats', ats)
    call('SET', key .. ':lock', token, 'PX', lock_ms)
    tell(q, 'active', 'jobId', id, 'prev', 'waiting', 'name', job[4])
    job[4] = nil
  end
  call('LPUSH', q.active, unpack(ids))
  call('ZADD', q.leases, unpack(leases))
end

-- What to remember of a claim in place of the jobs themselves.
local function note_of(claimed)
  local ids = {}
  for i, job in ipairs(claimed.jobs) do ids[i] = job[1] end
  return { ids = ids, next_at = claimed.next_at, freed_at = claimed.freed_at, held_until = claimed.held_until, paused = claimed.paused }
end


-- lib/active.lua - running jobs leave: what they held, and their places in `active`.

local FEW = 8 -- so many jobs are looked for in `active` one by one: each costs the server as much as reading a tenth of it
local LEFT = '\0' -- put in the place of those that leave

-- The places of these jobs in a long list, read from its end, where the oldest are, until all are found.
local function places_of(q, ids, length)
  local found, missing, leaving = {}, #ids, {}
  for i = 1, #ids do leaving[ids[i]] = true end
  for last = length - 1, 0, -1000 do
    local first = math.max(0, last - 999)
    local some = call('LRANGE', q.active, first, last)
    for i = #some, 1, -1 do
      local id = some[i]
      if leaving[id] then found[id], leaving[id], missing = first + i - 1, nil, missing - 1 end
    end
    if missing == 0 then break end
  end
  return found
end

-- Take these jobs out of `active`; answers the place of each that was there. A list that is mostly theirs is written anew.
local function take_out(q, ids)
  local length = call('LLEN', q.active)
  if #ids <= FEW and length > FEW then
    local found = {}
    for _, id in ipairs(ids) do found[id] = call('LPOS', q.active, id, 'RANK', -1) or nil end
    for id in pairs(found) do call('LREM', q.active, '-1', id) end
    return found
  elseif length > 4 * #ids then
    local found, count = places_of(q, ids, length), 0
    for _, place in pairs(found) do
      call('LSET', q.active, place, LEFT)
      count = count + 1
    end
    if count > 0 then call('LREM', q.active, -count, LEFT) end
    return found
  end
  local found, leaving, count = {}, {}, #ids
  for i = 1, count do leaving[ids[i]] = true end
  -- Mostly they are the ones that have been there longest, and nothing else has: then the tail is cut off.
  local tail, before = call('LRANGE', q.active, -count, -1), math.max(0, length - count)
  for i = 1, #tail do
    if leaving[tail[i]] then found[tail[i]], leaving[tail[i]], count = before + i, nil, count - 1 end
  end
  if count == 0 then
    call('LTRIM', q.active, 0, -#ids - 1)
    return found
  end
  local active, rest = call('LRANGE', q.active, '0', '-1'), {}
  found = {}
  for i = 1, #ids do leaving[ids[i]] = true end
  for place = 1, #active do
    local id = active[place]
    if leaving[id] then
      found[id], leaving[id] = place, nil -- once: an id that is there twice was put there by somebody else
    else
      rest[#rest + 1] = id
    end
  end
  call('DEL', q.active)
  if #rest > 0 then call('RPUSH', q.active, unpack(rest)) end
  return found
end

-- One job, whose place does not matter.
local function take_one(q, id) return { [id] = call('LREM', q.active, '-1', id) == 1 or nil } end

-- Which verdicts still hold: their lock is theirs and their job is active. Also answers their ids.
local function accept(q, verdicts, refused)
  local locks, ids, held, accepted, base = {}, {}, {}, {}, q.base
  for i = 1, #verdicts do locks[i] = base .. verdicts[i].id .. ':lock' end
  local tokens = call('MGET', unpack(locks))
  for i = 1, #verdicts do
    if tokens[i] == verdicts[i].token then held[#held + 1] = verdicts[i].id end
  end
  local found = #held > 0 and take_out(q, held) or {}
  for i = 1, #verdicts do
    local one = verdicts[i]
    local id = one.id
    one.position = tokens[i] == one.token and found[id]
    if one.position then
      found[id] = nil -- a second verdict of the same run finds nothing
      accepted[#accepted + 1], ids[#ids + 1] = one, id
    else
      refused[#refused + 1] = { id, call('EXISTS', base .. id) == 1 and 'lease-lost' or 'job-missing' }
    end
  end
  return accepted, ids
end

-- Out of the lease: the lock is checked before, the place in `active` has gone already.
local function leave_active(q, ids)
  local locks, base = {}, q.base
  for i = 1, #ids do locks[i] = base .. ids[i] .. ':lock' end
  call('DEL', unpack(locks))
  call('ZREM', q.leases, unpack(ids))
  call('SREM', q.stalled, unpack(ids))
  if meta(q).guarded then grouping().leave(q, ids) end
end

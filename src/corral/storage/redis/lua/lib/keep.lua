-- lib/keep.lua - finished jobs: their order, and how many of them are kept.

local DELETED = 500 -- old finished jobs deleted by a call: 3 ms; the rest goes with the next verdicts, or with the sweeper

local function delete_keys(q, id)
  local key = q.base .. id
  call('DEL', key, key .. ':logs', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful')
  local followed = rawget(q, 'any_followed')
  if followed == nil then
    followed = call('EXISTS', q.own .. 'followed') == 1
    q.any_followed = followed
  end
  if followed then
    call('DEL', q.own .. 'then:' .. id)
    call('SREM', q.own .. 'followed', id)
  end
end

-- The score of a job that finishes now: the milliseconds, and in three decimals its place among those of the same one.
local function finish_score(q, state)
  local field = 'last_' .. state
  local place = rawget(q, field)
  if not place then
    local newest = tonumber(call('ZRANGE', q.base .. state, '-1', '-1', 'WITHSCORES')[2] or nil) or 0
    place = math.floor(newest) == now and math.floor((newest - now) * 1000 + 0.5) or -1
  end
  place = math.min(place + 1, 999)
  q[field] = place
  return place == 0 and now_text or now_text .. string.format('.%03d', place)
end

local tell_removed -- lib/finish.lua

-- Delete finished jobs, and tell the parents that still wait for failed ones.
local function delete_finished(q, state, ids)
  if #ids == 0 then return end
  for _, id in ipairs(ids) do
    if state == 'failed' then tell_removed(q, id) end
    delete_keys(q, id)
  end
  for from = 1, #ids, 1000 do call('ZREM', q.base .. state, unpack(ids, from, math.min(from + 999, #ids))) end
end

local may_delete = DELETED

local function delete_old(q, state, ids)
  may_delete = may_delete - #ids
  delete_finished(q, state, ids)
end

-- Enforce a bound; `own` are the jobs that just ended, which alone go when nothing is to be kept.
local function retain(q, state, keep, own)
  if keep.count == 0 then return delete_finished(q, state, own) end
  local key = q.base .. state
  if keep.count then
    local excess = math.min(call('ZCARD', key) - keep.count, may_delete)
    if excess > 0 then delete_old(q, state, call('ZRANGE', key, 0, excess - 1)) end
  end
  if keep.age_ms then
    local old = string.format('(%.17g', now - keep.age_ms)
    delete_old(q, state, call('ZRANGEBYSCORE', key, '-inf', old, 'LIMIT', 0, may_delete))
  end
end

-- Tell that nothing runs and nothing waits any more.
local function tell_idle(q)
  if call('LLEN', q.active) == 0 and call('LLEN', q.wait) == 0 and ready_count(q) == 0 then tell(q, 'drained') end
end

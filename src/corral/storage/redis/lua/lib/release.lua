-- lib/release.lua - parents whose children have all ended run.

local function place_parent(q, id)
  local job = call('HMGET', q.base .. id, 'priority', 'delay', 'name', 'gid', 'at')
  local due = tonumber(job[5] or nil) or now + whole(job[2])
  if job[5] then call('HDEL', q.base .. id, 'at') end
  if due > now then
    put_delayed(q, id, due)
    tell(q, 'delayed', 'jobId', id, 'delay', due, 'name', job[3] or '')
  else
    call('HSET', q.base .. id, 'rdy', now)
    put_ready(q, id, whole(job[1]), false, job[4] or nil)
    tell(q, 'waiting', 'jobId', id, 'prev', 'waiting-children', 'name', job[3] or '')
  end
end

-- Let a parent that waits for its children run.
local function release_parent(q, id)
  if unpark(q, id) then place_parent(q, id) end
end

local function one_less(q, id)
  if call('SCARD', q.base .. id .. ':dependencies') == 0 then release_parent(q, id) end
end

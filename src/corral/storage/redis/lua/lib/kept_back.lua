-- lib/kept_back.lua - the job that deduplication kept back. Included where it is called: hardly any call needs it, and each function
-- that is defined costs.

-- Tie a kept back job to those it comes after, as though none had ended; false when none is there. Who has ended is asked behind it.
local function waits_after(q, id, key, edges)
  local places = { wait = 0, fail = 1, continue = 2, ignore = 3, remove = 4 } -- lib/edges.lua
  local waits = false
  for _, edge in ipairs(edges) do
    local home = queue_named(edge.queue)
    local child, own = home.base .. edge.id, home.own .. 'then:' .. edge.id
    if call('EXISTS', child) == 1 then
      waits = true
      call('SADD', key .. ':dependencies', child)
      call('ZADD', own, call('ZCARD', own) * 8 + places[edge.policy], string.match(q.base, '([^:]*):$') .. ':' .. id)
      call('HSET', child, 'then', 1)
      call('SADD', home.own .. 'followed', edge.id)
      call('SADD', home.edges, edge.id)
    end
  end
  return waits
end

-- The job that was kept back while the owner of its deduplication id ran (BullMQ's keepLastIfActive).
local function add_kept_back(q, deid)
  local kept = q.base .. 'dn:' .. deid
  local job = call('HMGET', kept, 'name', 'data', 'opts', 'jid', 'pk', 'pd', 'rjk', 'corral')
  if not job[1] then return end
  call('DEL', kept)
  local counter = call('INCR', q.base .. 'id')
  local id = job[4] or tostring(counter)
  if call('EXISTS', q.base .. id) == 1 then return tell(q, 'duplicated', 'jobId', id, 'name', job[1]) end -- it has come another way
  local ok, options = pcall(cjson.decode, job[3] or '{}')
  if not ok or type(options) ~= 'table' then options = {} end
  local de = type(options.de) == 'table' and options.de or {}
  local more = job[8] and cjson.decode(job[8]) or {} -- what BullMQ has no word for
  local delay, priority = tonumber(options.delay) or 0, tonumber(options.priority) or 0
  if more.at then delay = math.max(0, more.at - now) end
  local key = q.base .. id
  call('HSET', key, 'name', job[1], 'data', job[2] or '{}', 'opts', job[3] or '{}', 'timestamp', now, 'delay', delay,
    'priority', priority, 'deid', deid)
  if job[5] and call('EXISTS', job[5]) == 1 then
    call('HSET', key, 'parentKey', job[5], 'parent', job[6] or '{}')
    call('SADD', job[5] .. ':dependencies', key)
    call('HSET', job[5], 'dep', 1)
  end
  if job[7] then call('HSET', key, 'rjk', job[7]) end
  if more.schedule then call('HSET', key, 'sched', more.schedule, 'slot', more.slot or 0) end
  if more.lifespan then call('HSET', key, 'exp', now + delay + more.lifespan) end
  if more.group then call('HSET', key, 'gid', more.group) end
  if tonumber(de.ttl) and not de.keepLastIfActive then
    call('SET', q.base .. 'de:' .. deid, id, 'PX', given and 86400000 or de.ttl)
    call('ZADD', q.dedups, now + de.ttl, deid)
  else
    call('SET', q.base .. 'de:' .. deid, id)
    call('ZREM', q.dedups, deid) -- the owner before it may have had an end, by `extend`
  end
  tell(q, 'added', 'jobId', id, 'name', job[1])
  if more.after and waits_after(q, id, key, more.after) then
    if more.at then call('HSET', key, 'at', more.at) end
    call('ZADD', q.children, now_text, id)
    tell(q, 'waiting-children', 'jobId', id, 'name', job[1])
    for _, edge in ipairs(more.after) do tell_after(queue_named(edge.queue), edge.id) end
  elseif delay > 0 then
    put_delayed(q, id, now + delay)
    tell(q, 'delayed', 'jobId', id, 'delay', now + delay, 'name', job[1])
  else
    put_ready(q, id, priority, options.lifo == true, more.group)
    tell(q, 'waiting', 'jobId', id, 'name', job[1])
  end
end

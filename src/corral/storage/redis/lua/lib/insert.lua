-- lib/insert.lua - new jobs: their hashes, their places, their parents, and the limit for producers.

-- What only some jobs need is in lib/dedup.lua and lib/edges.lua; a script without them is called for the others only.
local keep_out, missing_after, insert_more, fail_new, attach_again

-- Keys of parents that need no mark: new ones, which wait for their children, and those that this call has marked.
local unmarked = {}

-- Which queue's limit for producers this group would exceed. Counts it when it does not. Jobs of schedules are not counted.
local function add_limit_hit(group)
  local wanted = {}
  for _, job in ipairs(group) do
    if not job.schedule then wanted[job.queue] = (wanted[job.queue] or 0) + 1 end
  end
  local counted = {}
  for name, count in pairs(wanted) do
    local q = queue_named(name)
    local limit = rawget(q, 'limit')
    if limit == nil then
      local found = call('HMGET', q.settings, 'add_count', 'add_per')
      limit = found[1] and { count = tonumber(found[1]), per = tonumber(found[2]) } or false
      q.limit = limit
    end
    if limit then
      local state = call('HMGET', q.state, 'add_at', 'add_used')
      local at, used = whole(state[1]), whole(state[2])
      if math.abs(now - at) >= limit.per then at, used = now, 0 end
      if used + count > limit.count then
        return { full = { queue = name, count = limit.count, per_ms = limit.per, retry_ms = at + limit.per - now } }
      end
      counted[#counted + 1] = { q, at, used + count }
    end
  end
  for _, one in ipairs(counted) do call('HSET', one[1].state, 'add_at', one[2], 'add_used', one[3]) end
  return nil
end

-- Tie a child to its parent. A parent that is gone leaves the child an ordinary job.
local function attach(key, child, parent)
  local home = queue_named(parent.queue)
  local parent_key = home.base .. parent.id
  if call('EXISTS', parent_key) == 0 then return end
  call('HSET', key, 'parentKey', parent_key, 'parent', parent.json)
  call('SADD', parent_key .. ':dependencies', child)
  if unmarked[parent_key] then return end
  call('HSET', parent_key, 'dep', 1) -- it may be ready already: by this field claims know to count its children
  unmarked[parent_key] = true
end

-- Where the new job stands: with the parents, delayed, or ready.
local function put_new(q, id, job, due, plain)
  if job.children then
    unmarked[q.base .. id] = true
    call('ZADD', q.children, now, id)
    tell(q, 'waiting-children', 'jobId', id, 'name', job.name)
  elseif due > now then
    put_delayed(q, id, due)
    tell(q, 'delayed', 'jobId', id, 'delay', due, 'name', job.name)
  else
    if job.priority or job.lifo or job.group then
      put_ready(q, id, job.priority or 0, job.lifo, job.group)
    else
      plain[#plain + 1] = id
    end
    tell(q, 'waiting', 'jobId', id)
  end
end

local function flush(q, plain)
  for from = 1, #plain, 1000 do call('LPUSH', ready_list(q), unpack(plain, from, math.min(from + 999, #plain))) end
  if #plain > 0 then wake(q) end
end

local function insert(q, job, counter, plain)
  local id = job.id or string.format('%.0f', counter)
  local key = q.base .. id
  if job.id and call('EXISTS', key) == 1 then
    if job.parent and attach_again then attach_again(q, id, key, job.parent) end
    tell(q, 'duplicated', 'jobId', id, 'name', job.name)
    return id, false
  end
  local due = job.at or now + (job.delay or 0)
  local more = job.more
  local owner = more and job.dedup and keep_out(q, job, id, due)
  if owner then return owner, false, true end
  local delay = due > now and due - now or '0'
  call('HSET', key, 'name', job.name, 'data', job.data, 'opts', job.opts, 'timestamp', now_text, 'delay', delay,
    'priority', job.priority or '0')
  if job.at and due > now and (job.children or job.after) then call('HSET', key, 'at', job.at) end
  if job.lifespan then call('HSET', key, 'exp', math.max(now, due) + job.lifespan) end
  if job.schedule then call('HSET', key, job.repeats and 'rjk' or 'sched', job.schedule, 'slot', job.slot or 0) end
  tell(q, 'added', 'jobId', id, 'name', job.name)
  local fatal = more and insert_more(q, id, key, job)
  if not fatal then put_new(q, id, job, due, plain) end
  if job.parent then attach(key, key, job.parent) end
  if fatal then fail_new(q, id, fatal) end
  return id, true
end

-- Enter a queue that nobody has used yet, or not since it was obliterated, in the list of all.
local function found(q, name)
  if meta(q).founded then return end
  q.known.founded = true
  call('HSET', q.base .. 'meta', 'opts.maxLenEvents', meta(q).events)
  mark_bounds(q) -- a Node program may have obliterated it
  call('HSET', q.state, 'founded', 1)
  call('SADD', 'corral:' .. req.prefix .. '::queues', name)
end

-- Add all jobs of a group; answers { id, fresh } for each, or (`short`) the first number where all are new and in a row.
local function insert_all(group, short)
  local answers, passed_over, plain, last = {}, {}, {}, nil
  local counts, numbered = {}, short
  for i = 1, #group do
    local name = group[i].queue
    counts[name] = (counts[name] or 0) + 1
    numbered = numbered and not group[i].id and name == group[1].queue and not group[i].more
  end
  local counters = {}
  for name, count in pairs(counts) do
    found(queue_named(name), name)
    counters[name] = call('INCRBY', queue_named(name).base .. 'id', count) - count
  end
  for i, job in ipairs(group) do
    local q = queue_named(job.queue)
    if q ~= last then
      if last then flush(last, plain) end
      plain, last = {}, q
    elseif (job.dedup or job.after) and #plain > 0 then
      flush(last, plain) -- this one may let a parent go, or fail at once: those before it stand first
      plain = {}
    end
    counters[job.queue] = counters[job.queue] + 1
    local id, fresh, kept_out = insert(q, job, counters[job.queue], plain)
    if not numbered then answers[i] = { id, fresh, kept_out } end
    if not fresh and job.parent then passed_over[#passed_over + 1] = job.parent end
  end
  if last then flush(last, plain) end
  -- A parent whose children were all there already would wait for ever.
  for _, parent in ipairs(passed_over) do one_less(queue_named(parent.queue), parent.id) end
  if numbered and #group > 0 then return counters[group[1].queue] - #group + 1 end
  return answers
end

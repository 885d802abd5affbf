-- lib/express.lua - a turn with nothing special to it: jobs that completed, and new ones in their place.
--
-- Nearly all turns are like that, and end here: before the hundred functions that the others need are defined, which is a quarter of
-- what a turn of one job costs. Whatever is special is left to those, unchanged.

-- Whether the queue has no groups, holds, further windows, caps for names, nor jobs that were set aside for one.
local function is_usual(q)
  local m = meta(q)
  if m.guarded or m.bounded and (call('HGET', q.settings, 'names') or call('ZCARD', q.held) > 0) then return false end
  q.caps = false
  return true
end

-- What is known of jobs that complete, by id; nil when a run is not theirs any more, or other jobs are to hear of it.
local function look_at_all(q, done)
  local locks, ids, tokens, looks, base = {}, {}, {}, {}, q.base
  for r = 1, #done do
    local token, list = done[r][1], done[r][4]
    for at = 1, #list, 2 do
      local n = #ids + 1
      ids[n], locks[n], tokens[n] = list[at], base .. list[at] .. ':lock', token
    end
  end
  local found = call('MGET', unpack(locks))
  for i = 1, #ids do
    if found[i] ~= tokens[i] then return nil end
  end
  for i = 1, #ids do
    local id = ids[i]
    local f = look_done(base .. id)
    if f.err or not (f[1] or f[5]) or f[3] or f[4] or f[8] or looks[id] then return nil end
    looks[id] = f
  end
  return looks, ids
end

-- Settle completions; answers those that changed nothing, or nil when it has not touched anything.
local function settle_plain(q, done)
  local looks, ids = look_at_all(q, done)
  if not looks then return nil end
  local active, runs, refused, accepted = #ids == 1 and take_one(q, ids[1]) or take_out(q, ids), {}, {}, {}
  for r = 1, #done do
    local list, run = done[r][4], { count = done[r][2], age_ms = done[r][3], ids = {}, results = {} }
    for at = 1, #list, 2 do
      local id, n = list[at], #run.ids + 1
      if active[id] then
        run.ids[n], run.results[n], accepted[#accepted + 1] = id, list[at + 1], id
      else
        refused[#refused + 1] = { id, 'lease-lost' }
      end
    end
    runs[r] = run
  end
  if #accepted == 0 then return refused end
  leave_active(q, accepted)
  complete_all(q, runs, {}, looks)
  tell_idle(q)
  if meta(q).concurrency and ready_count(q) > 0 then wake(q) end
  return refused
end

-- The next jobs of the list, as rows, and whether all of them are new; nil when there is one that must not simply run: then they are in
-- the list as before.
local function pick_plain(q, count)
  local ids, base = call('RPOP', q.wait, string.format('%d', count)) or {}, q.base
  local found, rows, new = {}, {}, true
  for i = 1, #ids do
    local fields = redis.pcall('HGETALL', base .. ids[i])
    found[i], new = fields, new and not fields.err and is_new(fields)
    if not new then
      local seen = fields.err and {} or glance(fields)
      if fields.err or #fields == 0 or string.sub(ids[i], 1, 2) == '0:' or seen.defa or seen.exp or seen.hold or seen.cancel then
        for k = #ids, 1, -1 do call('RPUSH', q.wait, ids[k]) end
        return nil
      end
      rows[i] = { ids[i], seen.ats and whole(seen.ats) + 1 or 1, fields, seen.name or '' }
    end
  end
  return ids, found, not new and rows
end

-- New jobs as they go to the caller: { name, opts, { id, data, timestamp ... } ... }.
local function runs_of_new(found, ids, names)
  local runs, list, name, opts = {}, nil, nil, nil
  for i = 1, #ids do
    local fields = found[i]
    if fields[2] ~= name or fields[6] ~= opts then
      name, opts, list = fields[2], fields[6], {}
      runs[#runs + 1], runs[#runs + 2], runs[#runs + 3] = name, opts, list
    end
    local n = #list
    names[i], list[n + 1], list[n + 2], list[n + 3] = name, ids[i], fields[4], fields[8]
  end
  return runs
end

-- Claim; answers as lib/take.lua does, or nil when it has not touched anything.
local function take_plain(q, wish)
  local m = meta(q)
  if m.paused or m.max or m.concurrency then return nil end
  local first = call('ZRANGE', q.delayed, '0', '0', 'WITHSCORES') -- a number would be formatted, which is dearer than the command
  local next_at = first[2] and math.floor(tonumber(first[2]) / 4096) or nil
  if next_at and next_at <= now or call('ZCARD', q.prioritized) > 0 then return nil end
  local count = math.min(wish.count, 256)
  local claimed = { ids = {}, next_at = next_at, now = now }
  if count < 1 then return claimed end
  local ids, found, rows = pick_plain(q, count)
  if not ids then return nil end
  claimed.ids = ids
  if #ids == 0 then return claimed end
  if rows then
    for i = 1, #ids do
      rows[i] = rows[i] or { ids[i], 1, found[i], found[i][2] }
      rows[i][3] = told(q, ids[i], rows[i][3])
    end
    claimed.jobs = rows
    start(q, wish, rows)
  else
    local names = {}
    claimed.new = runs_of_new(found, ids, names)
    hand_out(q, wish, ids, names, {})
  end
  if #ids < count or call('LLEN', q.wait) == 0 then tell(q, 'emptied') else wake(q) end
  return claimed
end

-- schedules.lua - read schedules, or find those that are due.
--
-- Keys     repeat repeat:<key> of every queue; own: schedules; shared: queues
-- Request  { prefix, read = { { queue, { key ... } } ... } }
--          { prefix, due_by, queues?, from = { place, offset }, count }   from where on, and how many members of `repeat` to look at
-- Reply    { { { body?, at?, fields? } ... } ... }   `at` and `fields` for Node's own, and for ours that Node has edited
--          { due = { { queue, key, at } ... }, from? }   `from` where to go on
-- Events   none
-- BullMQ   a schedule that Node removed is forgotten here; one that it has served meanwhile is brought up to date
--! flags allow-oom
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/cadence.lua

local function by_node(q, key, at)
  local fields = redis.pcall('HGETALL', definition(q, key))
  return { at = at, fields = fields.err and {} or fields }
end

local function row(q, key)
  local body = call('HGET', q.schedules, key)
  if not body then
    local at = slot_of(q, key)
    return at and by_node(q, key, at) or false
  end
  local s = read_body(body)
  if not s then return { body = body } end
  catch_up(q, key, s)
  if s.gone then
    forget(q, key)
    return false
  end
  if s.moved then
    save(q, key, s)
    body = text_of(s)
  end
  if not s.edited then return { body = body } end
  local found = by_node(q, key, s.next_at)
  found.body = body
  return found
end

local function read()
  local answers = {}
  for i, wanted in ipairs(req.read) do
    local q, rows = queue_named(wanted[1]), {}
    for j, key in ipairs(wanted[2]) do rows[j] = row(q, key) end
    answers[i] = rows
  end
  return answers
end

local function names()
  if req.queues then return req.queues end
  local all = call('SMEMBERS', KEYS[2] .. 'queues')
  table.sort(all)
  return all
end

local function due()
  local found, left, offset = {}, req.count, req.from[2]
  local all = names()
  for place = req.from[1], #all do
    local q = queue_named(all[place])
    local members = call('ZRANGEBYSCORE', q['repeat'], '-inf', req.due_by, 'WITHSCORES', 'LIMIT', offset, left)
    for i = 1, #members, 2 do
      if call('HEXISTS', q.schedules, members[i]) == 1 then
        found[#found + 1] = { all[place], members[i], tonumber(members[i + 1]) }
      end
    end
    left = left - #members / 2
    if left <= 0 then return { due = found, from = { place, offset + #members / 2 } } end
    offset = 0
  end
  return { due = found }
end

return cmsgpack.pack(req.read and read() or due())

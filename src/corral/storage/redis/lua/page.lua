-- page.lua - a stretch of the jobs in some states, merged by place: waiting ones as they will be served, delayed ones by due time,
-- active ones by when they were claimed, finished ones by when they ended.
--
-- Keys     wait paused prioritized delayed active waiting-children completed failed <id> <id>:dependencies; own: held leases
--          schedules slots grouped aside
-- Request  { queue, prefix, states, newest_first, skip, limit, name?, group?, lean?, ended_by?, from? }   `from`: where each run was
--          left, from the last reply; finished jobs that ended after `ended_by` (ms) are left out, but `total` counts them
-- Reply    { rows, total, matched, skip, from, more }   rows as those of get.lua; `total` without a filter; `matched` counts those
--          that were asked for in this slice; `more`: the slice was full, call again with `from` and `skip` of this reply
-- Events   none
-- BullMQ   reads its containers; nothing is written
--! flags no-writes
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/place.lua
--! include lib/slot.lua
--! include lib/slot_count.lua
--! include lib/locate.lua
--! include lib/sources.lua
--! include lib/lean.lua

local EFFORT = 3000 -- entries looked at by one call: 3 ms. One whose name is asked for, or that is shown, counts as more:
local NAME = 2
local ROW = 5
local BYTES = 4000000
local CHUNK = 200

local ENDED = { completed = true, failed = true }

local runs, total = {}, 0
for _, state in ipairs(req.states) do
  for _, run in ipairs(SOURCES[state](queue)) do
    total = total + run.size - (run.beside or 0)
    if req.ended_by and ENDED[state] then
      run.behind = call('ZCOUNT', queue[state], string.format('%.0f', req.ended_by + 1), '+inf')
      run.resize(run.size - run.behind)
    end
    run.newest_first = req.newest_first
    runs[#runs + 1] = run
  end
  if state == 'delayed' then total = total - call('ZCARD', queue.held) - slots_in_delayed(queue) end
end
for i, run in ipairs(runs) do run.pos = req.from and req.from[i] or 0 end

local function unread()
  local found = {}
  for _, run in ipairs(runs) do
    if run.pos < run.size then found[#found + 1] = run end
  end
  return found
end

-- Skip without looking at each: of n runs, the one whose entry `skip / n` ahead is the first of all cannot have an entry before it
-- that belongs behind the skipped ones. Answers how many are left to skip.
local function leap(skip)
  while skip > 0 do
    local open = unread()
    if #open == 0 then return 0 end
    local step = math.floor(skip / #open)
    if #open == 1 then step = math.min(skip, open[1].size - open[1].pos) end
    if #open > 1 and step < 20 then return skip end
    local best, first
    for _, run in ipairs(open) do
      local entry = run.pos + step <= run.size and run.read(run.pos + step - 1, 1)[1]
      if entry and (not first or before_that(entry, first, req.newest_first)) then best, first = run, entry end
    end
    if not best then -- all of them together are not as many
      for _, run in ipairs(open) do run.pos = run.size end
      return 0
    end
    best.pos = best.pos + step
    skip = skip - step
  end
  return 0
end

local function peek(run)
  local at = run.pos - (run.read_from or 0) + 1
  local entry = run.entries and run.entries[at]
  if not entry and run.pos < run.size then
    run.read_from, run.entries = run.pos, run.read(run.pos, CHUNK)
    entry = run.entries[1]
  end
  return entry
end

local function next_entry()
  local best, first
  for _, run in ipairs(runs) do
    local entry = peek(run)
    if entry and (not first or before_that(entry, first, req.newest_first)) then best, first = run, entry end
  end
  if best then best.pos = best.pos + 1 end
  return best, first
end

local filtered = req.name or req.group

local function is_asked_for(id)
  local job = redis.pcall('HMGET', queue.base .. id, 'name', 'gid')
  return (not req.name or job[1] == req.name) and (not req.group or job[2] == req.group)
end

local skip, rows, matched, bytes, effort, more = req.skip, {}, 0, 0, 0, true
local all_alike = not filtered
for _, run in ipairs(runs) do all_alike = all_alike and not run.left_out end
if all_alike then skip = leap(skip) end

while effort < EFFORT and bytes < BYTES do
  if not filtered and #rows >= req.limit then
    more = false
    break
  end
  local run, entry = next_entry()
  if not run then
    more = false
    break
  end
  effort = effort + (filtered and 1 + NAME or 1)
  local id = entry[1]
  if not (run.left_out and run.left_out(id)) and (not filtered or is_asked_for(id)) then
    matched = matched + 1
    if skip > 0 then
      skip = skip - 1
    elseif #rows < req.limit then
      local row, size = (req.lean and lean or shown)(queue, id, run.state, entry[4])
      rows[#rows + 1] = row
      bytes = bytes + size
      effort = effort + ROW
    end
  end
end
local from = {}
for i, run in ipairs(runs) do from[i] = run.pos end
return reply({ rows = rows, total = math.max(0, total), matched = matched, skip = skip, from = from, more = more })

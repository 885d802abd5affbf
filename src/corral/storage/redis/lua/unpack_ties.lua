-- unpack_ties.lua - what a parent knows of its children.
--
-- Keys     <id>:dependencies :processed :failed :unsuccessful, children's completed failed <id>, containers of the parent
--          own: edges followed then:<id> op
-- Request  { queue, prefix, now?, id, first, open = { key ... }, completed = { key, result ... }, failed = { key, reason ... },
--          fatal = { key, reason ... }, later = { key, reason ... }, after = { queue, id, place of the policy, open ... } }
--          `fatal`: failures that the parent fails of; `later`: those that
--          let it run when it parks; `first`: what it knew is forgotten
-- Reply    true, or false when there is no such parent
-- Events   those of a parent whose last child had ended here before it came
-- BullMQ   keeps neither the reason of a fatal failure nor what `later` says: that stands in the parent's hash, as
--          `kid:<key>`; `kid:defa` and `kid:cont` say that these fields were derived here
--! include lib/call.lua
--! include lib/keys.lua
--! include lib/events.lua
--! include lib/place.lua
--! include lib/tally.lua
--! include lib/hold.lua
--! include lib/parents.lua
--! include lib/finish.lua

local before = earlier()
if before then return before end
local key = queue.base .. req.id
if call('EXISTS', key) == 0 then return reply(false) end

local function write(command, suffix, values)
  for from = 1, #values, 1000 do call(command, key .. suffix, unpack(values, from, math.min(from + 999, #values))) end
end

local function remember(word, failures)
  for i = 1, #failures, 2 do call('HSET', key, 'kid:' .. failures[i], word .. ' ' .. failures[i + 1]) end
end

if req.first then
  call('DEL', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful')
  for _, field in ipairs(call('HKEYS', key)) do
    if field == 'kid:defa' or field == 'kid:cont' then call('HDEL', key, string.sub(field, 5), 'mild') end
    if string.sub(field, 1, 4) == 'kid:' then call('HDEL', key, field) end
  end
end
write('SADD', ':dependencies', req.open)
write('HSET', ':processed', req.completed)
write('HSET', ':failed', req.failed)
write('HSET', ':failed', req.later)
for i = 1, #req.fatal, 2 do call('ZADD', key .. ':unsuccessful', now_text, req.fatal[i]) end
remember('fail', req.fatal)
remember('continue', req.later)
local ended = call('ZSCORE', queue.completed, req.id) or call('ZSCORE', queue.failed, req.id)
local function decide(field, value)
  if not ended and call('HSETNX', key, field, value) == 1 then call('HSET', key, 'kid:' .. field, '') end
end
if #req.later > 0 then decide('cont', 1) end
if #req.fatal > 0 then
  local _, id = split_key(req.fatal[1])
  decide('defa', 'child ' .. (id or '') .. ' failed: ' .. req.fatal[2])
  if call('HEXISTS', key, 'kid:defa') == 1 then call('HSET', key, 'mild', 1) end
end

-- Jobs that this one comes after. One that is not here yet is told of its followers when it comes.
for i = 1, #req.after, 4 do
  local q, id, place, open = queue_named(req.after[i]), req.after[i + 1], req.after[i + 2], req.after[i + 3]
  local own = q.own .. 'then:' .. id
  call('ZADD', own, call('ZCARD', own) * 8 + place, req.queue .. ':' .. req.id)
  if open then call('SADD', key .. ':dependencies', q.base .. id) end
  if call('EXISTS', q.base .. id) == 1 then
    call('HSET', q.base .. id, 'then', 1)
    call('SADD', q.own .. 'followed', id)
    if open then
      call('SADD', q.edges, id)
      tell_after(q, id)
    end
  end
end

-- One that is ready although some have not ended: by this field claims know to count those.
if call('EXISTS', key .. ':dependencies') == 1 and not call('ZSCORE', queue.children, req.id) then call('HSET', key, 'dep', 1) end

-- A child that was moved before its parent may have ended here, when nobody could be told.
for _, child in ipairs(req.open) do
  local q, id = split_key(child)
  if q and call('ZSCORE', q.completed, id) then
    child_completed(key, child, call('HGET', child, 'returnvalue') or 'null')
  elseif q and call('ZSCORE', q.failed, id) then
    local job = call('HMGET', child, 'parent', 'failedReason')
    child_failed(key, policy_of(job[1]), child, id, job[2] or '')
  end
end
conclude()
return reply(true)

-- entries.lua - entries of a kind: a stretch by id, or these.
--
-- Keys     own: entries:<kind> entry_ids:<kind>, both of the empty queue
-- Request  { prefix, now?, kind, ids? } or { prefix, now?, kind, after?, before?, limit, newest_first }
-- Reply    { rows = { id, 'version:written at:over at:text' ... }, seen: ids looked at, last?: the last of them }; a long
--          answer comes in several calls: there is more while `seen` is not 0
-- Events   none
-- BullMQ   has nothing like it
--! flags no-writes
--! include lib/call.lua

local LOOKED_AT = 250 -- ids per call
local BYTES = 1000000 -- texts per call; one text may be as long

local texts, ids = KEYS[2] .. 'entries:' .. req.kind, KEYS[2] .. 'entry_ids:' .. req.kind

local function wanted()
  if req.ids then return req.ids end
  local count = math.min(req.limit, LOOKED_AT)
  local low, high = req.after and '(' .. req.after or '-', req.before and '(' .. req.before or '+'
  if req.newest_first then return call('ZREVRANGEBYLEX', ids, high, low, 'LIMIT', 0, count) end
  return call('ZRANGEBYLEX', ids, low, high, 'LIMIT', 0, count)
end

local rows, bytes, seen, last = {}, 0, 0, nil
for _, id in ipairs(wanted()) do
  local stored = bytes < BYTES and call('HGET', texts, id)
  if bytes >= BYTES then break end
  seen, last = seen + 1, id
  local over = stored and string.match(stored, '^%d+:%d+:(%d+):')
  if over == '0' or over and tonumber(over) > now then
    rows[#rows + 1] = id
    rows[#rows + 1] = stored
    bytes = bytes + #stored
  end
end
return reply({ rows = rows, seen = seen, last = last })

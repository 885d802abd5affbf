-- lib/lean.lua - a job as lists show it: what may be megabytes stays here.

local LEAN = {
  'name', 'opts', 'timestamp', 'priority', 'processedOn', 'finishedOn', 'ats', 'attemptsMade', 'atm', 'stc', 'pb', 'parent', 'rjk',
  'sched', 'slot', 'gid', 'deid', 'fp', 'rdy',
}
-- Texts that are cut: so many bytes are sent at most (four for each character of port.PREVIEW and port.REASON).
local CUT = { data = 800, returnvalue = 800, progress = 800, failedReason = 4000 }
local LOOK = 65536 -- a longer text is not read: HGET copies it three times

-- The first bytes of a text, up to the end of a character.
local function cut(text, bytes)
  if #text <= bytes then return text end
  local next_one = string.byte(text, bytes + 1)
  while bytes > 0 and next_one >= 128 and next_one < 192 do
    bytes = bytes - 1
    next_one = string.byte(text, bytes + 1)
  end
  return string.sub(text, 1, bytes)
end

-- As `shown` in lib/locate.lua; `<field>:size` tells the length of a text.
local function lean(q, id, state, due)
  local key = q.base .. id
  local found = redis.pcall('HMGET', key, unpack(LEAN))
  if found.err then return nil, 0 end
  local fields, size = {}, 0
  for i, name in ipairs(LEAN) do
    if found[i] then
      fields[#fields + 1] = name
      fields[#fields + 1] = found[i]
      size = size + #found[i]
    end
  end
  for name, bytes in pairs(CUT) do
    local length = call('HSTRLEN', key, name)
    if length > 0 then
      fields[#fields + 1] = name .. ':size'
      fields[#fields + 1] = tostring(length)
      fields[#fields + 1] = name
      fields[#fields + 1] = length <= LOOK and cut(call('HGET', key, name), bytes) or ''
      size = size + #fields[#fields]
    end
  end
  if #fields == 0 then return nil, 0 end
  fields[#fields + 1] = 'lean'
  fields[#fields + 1] = '1'
  local pending = redis.pcall('SCARD', key .. ':dependencies')
  return { id, state, due or -1, type(pending) == 'number' and pending or 0, fields }, size
end

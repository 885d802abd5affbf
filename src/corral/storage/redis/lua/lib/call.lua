-- lib/call.lua - what every script begins with: the request, the time, and whether this very call ran before.
--
-- KEYS[1]  the queue's base in BullMQ's layout (`bull:mail:`)     KEYS[2]  the base of corral's own keys (`corral:bull:mail:`)
-- ARGV[1]  the request, msgpack      ARGV[2]  lane of the caller, '' when nothing is changed      ARGV[3]  number of the call in its lane
--
-- A lane has one call under way at a time. Its last number and answer are kept for a minute, so a call that is repeated because
-- its reply was lost changes nothing and is answered as it was the first time.

local call = redis.call
local req = cmsgpack.unpack(ARGV[1])
local lane, number = ARGV[2], ARGV[3]
local memory = KEYS[2] .. 'op:' .. lane
local MEMORY_MS = '60000'

local given = req.now ~= nil -- a test says what time it is
local now, now_text = req.now, nil -- a number that is put into a command goes through printf, which costs as much as a small command
if given then
  now_text = string.format('%.0f', now)
else
  local time = call('TIME')
  now_text = time[1] .. string.sub('00000' .. time[2], -6, -4) -- seconds, and milliseconds of the microseconds
  now = tonumber(now_text)
end

-- End the call with an error that the caller knows. Nothing may have been written: a script is not rolled back.
local function refuse(code, detail) error('CORRAL<' .. code .. '|' .. detail .. '>', 0) end

-- What this very call answered (or noted in its place), if it ran before; else nil.
local function earlier()
  if lane == '' then return nil end
  local memo = call('GET', memory)
  if not memo then return nil end
  local colon = string.find(memo, ':', 1, true)
  local last = tonumber(string.sub(memo, 1, colon - 1))
  if last < tonumber(number) then return nil end
  if last > tonumber(number) then refuse('stale', 'this call was given up and its lane went on') end
  return string.sub(memo, colon + 1)
end

-- The script's reply. `note` is remembered in its place when the reply is long and can be found again.
local function reply(value, note)
  local packed = cmsgpack.pack(value)
  if lane ~= '' then
    call('SET', memory, number .. ':' .. (note and cmsgpack.pack(note) or packed), 'PX', MEMORY_MS)
  end
  return packed
end


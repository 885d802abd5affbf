-- lib/keys.lua - a queue: its keys by name, and its settings, read at most once a call.

-- A stored number that counts something or says when: anything else than a whole one, as other programs may write it, is 0.
local function whole(text)
  local number = tonumber(text or nil)
  if number and number >= 0 and number < 9007199254740992 then return math.floor(number) end
  return 0
end

local NAMES = { children = 'waiting-children', stalled_check = 'stalled-check' }
local OWN = { leases = true, held = true, settings = true, state = true, minutes = true, notes = true, quarantine = true,
  schedules = true, slots = true, scan = true, edges = true, dedups = true, grouped = true, aside = true, busy = true,
  ring = true, blocked = true, groups = true, group_settings = true, windows = true, freed = true, idle = true }

-- A waiting job of a group stands in BullMQ's `waiting-children`, so far behind all parents that both are stretches of it.
local IN_GROUP = 4503599627370496 -- 2^52

local queues_by_base = {}

local function queue_at(base, own)
  local queue = queues_by_base[base]
  if not queue then
    queue = setmetatable({ base = base, own = own }, {
      __index = function(self, name)
        local key = OWN[name] and own .. name or base .. (NAMES[name] or name)
        rawset(self, name, key)
        return key
      end,
    })
    queues_by_base[base] = queue
  end
  return queue
end

local queue = queue_at(KEYS[1], KEYS[2])

-- Another queue with the same prefix as this call's, by its name.
local function queue_named(name)
  if name == req.queue then return queue end
  return queue_at(req.prefix .. ':' .. name .. ':', 'corral:' .. req.prefix .. ':' .. name .. ':')
end

-- The queue of a job's full key (`bull:mail:42`), and the job's id. Scheduled jobs have colons in theirs.
local function split_key(key)
  local base, id = string.match(key, '^(.-:[^:]*:)(.+)$')
  if string.sub(key, 1, #req.prefix + 1) == req.prefix .. ':' then -- the prefix itself may have colons
    local name
    name, id = string.match(string.sub(key, #req.prefix + 2), '^([^:]*):(.+)$')
    if name then return queue_named(name), id end
  end
  if not base then return nil end
  return queue_at(base, 'corral:' .. base), id
end

-- How a queue is set up: what BullMQ keeps in `meta`.
local function meta(q)
  local known = rawget(q, 'known')
  if known then return known end
  local found = call('HMGET', q.base .. 'meta', 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents', 'version',
    'corral', 'corral:bounds')
  known = {
    paused = found[1] and true or false,
    concurrency = tonumber(found[2] or nil),
    max = tonumber(found[3] or nil),
    duration = tonumber(found[4] or nil),
    events = tonumber(found[5] or nil) or 10000,
    founded = found[5] and true or false,
    version = found[6] or '',
    guarded = found[7] and true or false, -- it has groups, holds or further windows: lib/groups.lua
    bounded = found[8] and true or false, -- it has, or had, caps for names or a limit for producers
  }
  rawset(q, 'known', known)
  return known
end

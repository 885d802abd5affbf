-- lib/windows.lua - rate windows: each begins with its first start. The windows of one owner (the queue, a job name, a group) are
-- one text, `count/per:began:used …` in ms: a limit that is changed begins anew.

local function key_of(rate) return digits_of(rate.count) .. '/' .. digits_of(rate.per) end

local function read_windows(text)
  local windows = {}
  for key, began, used in string.gmatch(text or '', '(%d+/%d+):(%d+):(%d+)') do
    windows[key] = { began = tonumber(began), used = tonumber(used), per = tonumber(string.match(key, '%d+$')) }
  end
  return windows
end

-- A window that begins in the future by its whole length means that the clock went back: it does not count.
local function is_open_window(w) return math.abs(now - w.began) < w.per end

-- The windows as they are stored; nil when none is open.
local function window_text(windows)
  local texts = {}
  for key, w in pairs(windows) do
    if is_open_window(w) then texts[#texts + 1] = string.format('%s:%.0f:%d', key, w.began, w.used) end
  end
  return texts[1] and table.concat(texts, ' ') or nil
end

-- When the last of the open windows ends.
local function open_until(windows)
  local last
  for _, w in pairs(windows) do
    if is_open_window(w) then last = math.max(last or 0, w.began + w.per) end
  end
  return last
end

-- When there is room again; nil when every window has some.
local function full_until(windows, rates)
  local last
  for _, rate in ipairs(rates or {}) do
    local w = windows[key_of(rate)]
    if w and w.used >= rate.count and is_open_window(w) then last = math.max(last or 0, w.began + w.per) end
  end
  return last
end

-- How many may start.
local function room_in(windows, rates)
  local room = math.huge
  for _, rate in ipairs(rates or {}) do
    local w = windows[key_of(rate)]
    room = math.min(room, w and is_open_window(w) and math.max(0, rate.count - w.used) or rate.count)
  end
  return room
end

local function spend(windows, rates, count)
  local spent = {}
  for _, rate in ipairs(rates or {}) do
    local key = key_of(rate)
    local w = windows[key]
    if not (w and is_open_window(w)) then
      w = { began = now, used = 0, per = rate.per }
      windows[key] = w
    end
    if not spent[key] then w.used = w.used + count end
    spent[key] = true
  end
end

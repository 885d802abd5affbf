-- lib/healing.lua - jobs that come after one which a Node worker finished, or a Node program removed: it does not tell them.

local EDGES = 250 -- jobs that somebody comes after, looked at per call: 1 ms when none has ended

-- Look at a slice of them; true while there are more to look at.
local function heal_edges(q)
  local from = call('HGET', q.state, 'edge_scan')
  if not from and call('EXISTS', q.edges) == 0 then return false end
  local found = call('SSCAN', q.edges, from or '0', 'COUNT', EDGES)
  for _, id in ipairs(found[2]) do tell_after(q, id) end
  if found[1] ~= '0' then
    call('HSET', q.state, 'edge_scan', found[1])
  elseif from then
    call('HDEL', q.state, 'edge_scan')
  end
  return found[1] ~= '0'
end

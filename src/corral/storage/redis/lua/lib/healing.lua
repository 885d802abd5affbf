-- lib/healing.lua - jobs that come after one which a Node worker finished, or a Node program removed: it does not tell them.

local EDGES = 250 -- jobs that somebody comes after, looked at per call: 1 ms when none has ended

-- One that had ended and that Node, or retention, has deleted leaves its list of followers behind. Some are looked at now and then.
local function forget_followed(q)
  local all = q.own .. 'followed'
  if call('EXISTS', all) == 0 then return end
  for _, id in ipairs(call('SRANDMEMBER', all, 100)) do
    if call('EXISTS', q.base .. id) == 0 and call('SISMEMBER', q.edges, id) == 0 then
      call('DEL', q.own .. 'then:' .. id)
      call('SREM', all, id)
    end
  end
end

-- Look at a slice of them; true while there are more to look at.
local function heal_edges(q)
  forget_followed(q)
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

-- lib/outcomes.lua - what a verdict may bring besides itself: which kind of failure it was, and jobs that are added with it.

local KINDS = 1000 -- kinds of failures kept, the latest

-- Count an attempt that ended so. `failures` has the kinds by when they were last seen, `failures:of` what is known of each.
note_failure = function(q, job, one)
  if job.cancel and one.kind ~= 'f' then return end -- it fails as cancelled
  local kind = one.failure
  local times, known = q.own .. 'failures', q.own .. 'failures:of'
  local stored = call('HGET', known, kind.fingerprint)
  local seen = stored and cmsgpack.unpack(stored) or { first = now, attempts = 0, jobs = 0 }
  seen.type, seen.message, seen.last, seen.id, seen.name = kind.type, kind.message, now, job.id, job.name
  seen.attempts, seen.jobs = seen.attempts + 1, seen.jobs + (one.kind == 'f' and 1 or 0)
  call('HSET', known, kind.fingerprint, cmsgpack.pack(seen))
  call('ZADD', times, now_text, kind.fingerprint)
  call('HSET', q.base .. job.id, 'fp', kind.fingerprint)
  local old = call('ZCARD', times) - KINDS
  if old > 0 then
    for i, word in ipairs(call('ZPOPMIN', times, old)) do
      if i % 2 == 1 then call('HDEL', known, word) end
    end
  end
end

add_more = function(accepted)
  for _, one in ipairs(accepted) do
    if one.adds and not one.missing then
      -- Who comes after this id means the job that has just ended, also when a new one of the same id is kept out.
      local own = queue.base .. one.id
      stands_for[own] = own
      insert_all(one.adds, false)
    end
  end
end

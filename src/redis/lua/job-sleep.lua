-- Puts a run to sleep: a short sleep keeps lease and slot, a long one frees them.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV run id, place in the order of steps, step id as JSON, ms
-- Reply {ms left, 1: lease and slot are free}, or null when the run is over

local PARKED_FROM_MS = 5000

if not open_job() then return UNOPENED end
settle_time()

local id, p = job_of(ARGV[1])
if not id then return done(false) end
local index = tonumber(ARGV[2])
local stored = redis.call("HGET", steps_key, id .. "/" .. text(index))
local until_at = stored and tonumber(string.match(stored, "\nz(%d+)$")) or NOW + tonumber(ARGV[4])
local left = math.max(0, until_at - NOW)
-- Asleep already: the answer was lost.
if p.at ~= "x" then return done({left, 1}) end
if put_step(id, p, index, ARGV[3] .. "\nz" .. text(until_at)) then p.steps = math.max(p.steps, index + 1) end
if left <= PARKED_FROM_MS then
  extend_lease(id, p, left)
  return done({left, 0})
end
change(id, p, with(p, {at = "p", due_at = until_at, left = p.deadline > 0 and math.max(1, p.deadline - NOW) or 0}))
happened(id, '"type":"parked","untilAt":' .. text(until_at))
return done({left, 1})

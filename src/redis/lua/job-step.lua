-- Stores finished steps: signs of life.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV for each: run id, place in the order of steps, step id as JSON, result
-- Reply for each: 1, or null when the run is over

local STRIDE = 4

if not open_job() then return UNOPENED end
settle_time()

local replies = {}
for i = 1, #ARGV / STRIDE do
  local at = (i - 1) * STRIDE + 1
  local id, p = job_of(ARGV[at])
  replies[i] = id and 1 or false
  if id then
    if p.at == "x" then p = extend_lease(id, p, 0) end
    -- Unless it is stored, and the answer was lost.
    if put_step(id, p, tonumber(ARGV[at + 1]), ARGV[at + 2] .. "\ns" .. ARGV[at + 3]) then
      happened(id, '"type":"step","stepId":' .. ARGV[at + 2])
    end
  end
end
return done(replies)

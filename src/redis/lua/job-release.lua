-- Hands runs back; counts nothing.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV run ids
-- Reply null

if not open_job() then return UNOPENED end

for _, run in ipairs(ARGV) do
  local id, p = job_of(run)
  if id then hand_back(id, p) end
end
return done(false)

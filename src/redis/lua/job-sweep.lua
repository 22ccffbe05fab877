-- Does what time has brought: a batch of it.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV process
-- Reply {1: there is more, milliseconds until something is due (-1: nothing is)}

if not open_job() then return UNOPENED end
local reply = sweep_now(ARGV[1], sweep)
done()
-- What was told at the end may be due earlier.
if reply[1] == 0 and reply[2] ~= SWEEP_LEASE_MS then reply[2] = due_in() end
return reply

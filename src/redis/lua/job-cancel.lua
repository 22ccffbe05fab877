-- Cancels a job.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV id, reason as JSON ("": none)
-- Reply 1, or null when there is no such job, or it is done

if not open_job() then return UNOPENED end
settle_time()

local p = place_of(ARGV[1])
if not p or DONE[p.at] then return done(false) end
cancel(ARGV[1], p, ARGV[2])
return done(1)

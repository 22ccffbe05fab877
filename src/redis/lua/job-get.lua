-- A job as it stands.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end job-look
-- ARGV id
-- Reply {id, status, input, submitted at, priority, attempts at most, failures, crashes, ids of steps as JSON, key, meta,
--        ordering key, progress as JSON, error as JSON, time, process, result}, or null

if not open_job() then return UNOPENED end
settle_time()
return done(described_in_full(ARGV[1]) or false)

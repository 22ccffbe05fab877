-- A place in the event log.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV "start", "now" or "cursor", its generation, its number
-- Reply {generation, number}, and of a place that is lost its cursor and the first that is there

if not open_job() then return UNOPENED end
settle_time()
return done(log_anchor(ARGV[1], ARGV[2], ARGV[3]))

-- Writes lines to the events of jobs.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV for each: run id, text as JSON
-- Reply for each: 1, or null when the run is over

if not open_job() then return UNOPENED end
settle_time()

local replies = {}
for i = 1, #ARGV / 2 do
  local id = redis.call("HGET", runs_key, ARGV[2 * i - 1])
  replies[i] = id and 1 or false
  if id then happened(id, '"type":"log","text":' .. ARGV[2 * i]) end
end
return done(replies)

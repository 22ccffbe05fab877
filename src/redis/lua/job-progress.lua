-- Says where the work of runs is: a sign of life.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV for each: run id, the JSON text as JSON
-- Reply for each: 1, or null when the run is over

if not open_job() then return UNOPENED end
settle_time()

local replies = {}
for i = 1, #ARGV / 2 do
  local id, p = job_of(ARGV[2 * i - 1])
  replies[i] = id and 1 or false
  if id then
    if p.at == "x" then extend_lease(id, p, 0) end
    redis.call("HSET", progress_key, id, ARGV[2 * i])
    happened(id, '"type":"progress","value":' .. ARGV[2 * i])
  end
end
return done(replies)

-- Signs of life: leases begin anew.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV for each: run id, lease (ms, 0: the job's, and never shorter)
-- Reply for each: 1, or null when the run is over

if not open_job() then return UNOPENED end
settle_time()

local replies = {}
for i = 1, #ARGV / 2 do
  local id, p = job_of(ARGV[2 * i - 1])
  local lease = tonumber(ARGV[2 * i])
  replies[i] = id and 1 or false
  if id and p.at == "x" then
    if lease == 0 then extend_lease(id, p, 0)
    else
      p.due_at = NOW + lease
      redis.call("HSET", places_key, id, place_text(p))
      redis.call("ZADD", leases_key, text(run_end(p)), id)
      due_at(run_end(p))
    end
    happened(id, '"type":"heartbeat","attempt":' .. (p.failures + 1))
  end
end
return done(replies)

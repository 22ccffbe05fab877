-- Counts.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- Reply {submitted, delayed, running, parked, retry, completed, failed, cancelled, waiters, keys, 1: paused, workers,
--        producers}

if not open_job() then return UNOPENED end
settle_time()

local function alive(key) return redis.call("ZCOUNT", key, "(" .. text(REAL), "+inf") end
return done({count.r, count.d, count.x, count.p + count.k, count.t, count.c, count.f, count.z, waiting(),
  redis.call("HLEN", keys_key), limits.paused and 1 or 0, alive(workers_key), alive(producers_key)})

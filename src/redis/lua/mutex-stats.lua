-- Counts.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- Reply {locks, resources that are held, waiters}

if not open_mutex() then return UNOPENED end
settle_time()

return {redis.call("HLEN", locks_key), redis.call("HLEN", resources_key), redis.call("ZCARD", waiters_key)}

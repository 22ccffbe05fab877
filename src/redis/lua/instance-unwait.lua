-- Calls that wait no longer.
-- KEYS meta waiters
-- ARGV their ids
-- Reply how many waited

return redis.call("ZREM", waiters_key, unpack(ARGV))

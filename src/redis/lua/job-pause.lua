-- Nothing is claimed until it goes on.
-- KEYS meta
-- Reply null

if not open() then return UNOPENED end
redis.call("HSET", meta_key, "paused", 1)
return false

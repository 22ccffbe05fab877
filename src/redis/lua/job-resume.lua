-- Ends a pause.
-- KEYS meta waiters
-- Reply null

if not open() then return UNOPENED end
redis.call("HDEL", meta_key, "paused")
if redis.call("ZCARD", waiters_key) > 0 then redis.call("PUBLISH", meta_key, "wake claim") end
return false

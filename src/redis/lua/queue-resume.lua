-- Ends a pause.
-- KEYS meta waiters
-- PRELUDE waiters
-- Reply null

if not open() then return UNOPENED end
redis.call("HDEL", meta_key, "paused")
wake()
return false

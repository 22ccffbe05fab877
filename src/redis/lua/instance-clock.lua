-- Moves the clock of a test.
-- KEYS meta
-- ARGV how far it is moved in all, milliseconds
-- Reply 1: moved, 0: there is no such instance

if redis.call("HEXISTS", meta_key, "seed") == 0 then return 0 end
redis.call("HSET", meta_key, "clock", ARGV[1])
redis.call("PUBLISH", meta_key, "wake")
return 1

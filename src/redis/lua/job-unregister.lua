-- A handle is not there any more.
-- KEYS meta workers producers
-- ARGV process, handle
-- Reply null

if not open() then return UNOPENED end
redis.call("ZREM", workers_key, ARGV[1] .. "/" .. ARGV[2])
redis.call("ZREM", producers_key, ARGV[1] .. "/" .. ARGV[2])
return false

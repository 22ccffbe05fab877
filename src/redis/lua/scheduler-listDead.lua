-- Slots whose submit was refused, newest first.
-- KEYS meta dead
-- ARGV at most so many
-- Reply JSON texts

if not open() then return UNOPENED end
return redis.call("LRANGE", dead_key, 0, tonumber(ARGV[1]) - 1)

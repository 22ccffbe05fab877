-- A process that holds something lives.
-- KEYS meta owners held
-- PRELUDE owners
-- ARGV process
-- Reply 1: its lease is renewed; 0: it holds nothing, or its lease was over

if not open() then return UNOPENED end
if redis.call("HEXISTS", held_key, ARGV[1]) == 0 or not is_alive(ARGV[1]) then return 0 end
-- A server without memory refuses a script that begins by adding.
redis.call("ZREM", owners_key, ARGV[1])
redis.call("ZADD", owners_key, text(REAL + OWNER_LEASE_MS), ARGV[1])
return 1

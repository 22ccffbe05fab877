-- Counts.
-- KEYS meta counters ends
-- PRELUDE ratelimit
-- Reply identifiers with a counter

if not open_ratelimit() then return UNOPENED end
return redis.call("ZCOUNT", ends_key, "(" .. text(NOW), "+inf")

-- Forgets what was counted.
-- KEYS meta counters ends
-- PRELUDE ratelimit
-- ARGV identifier
-- Reply null

if not open_ratelimit() then return UNOPENED end
forget(ARGV[1])
return false

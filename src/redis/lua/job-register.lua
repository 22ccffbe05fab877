-- A handle is there: for a while, unless it says so again.
-- KEYS meta workers producers
-- ARGV process, handle, 1: it runs jobs
-- Reply null

-- Longer than two of the times after which it says so again (job.ts).
local HANDLE_MS = 50000

if not open() then return UNOPENED end
redis.call("ZADD", ARGV[3] == "1" and workers_key or producers_key, text(REAL + HANDLE_MS), ARGV[1] .. "/" .. ARGV[2])
return false

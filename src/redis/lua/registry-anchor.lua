-- A place in the log.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries
-- ARGV start, now or cursor; generation and number of the cursor
-- Reply {generation, number}, and what was lost: after, first available

if not open_entries("registry") then return UNOPENED end
settle_time()

return done(log_anchor(ARGV[1], ARGV[2], ARGV[3]))

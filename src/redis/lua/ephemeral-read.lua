-- Events of the log.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV after this number, at most so many, all, key or prefix, which
-- Reply {number of the newest, events}, and what was lost: after, first available

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

return done(read_changes(tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]))

-- All entries, at one moment.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV prefix ("": all)
-- Reply {keys, records, cursor, null}

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

return done(page(active_key, ARGV[1], "", -1, DUE <= NOW and NOW))

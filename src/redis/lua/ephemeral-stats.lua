-- How much there is.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- Reply {entries, events, cursor}

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

log_trim()
return done({count(), log_head - log_trimmed, cursor()})

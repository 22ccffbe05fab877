-- How much there is.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries
-- Reply {entries, events, cursor, tombstones}

if not open_entries("registry") then return UNOPENED end
settle_time()

log_trim()
return done({count(), log_head - log_trimmed, cursor(),
  over() + redis.call("ZCOUNT", forgets_key, "(" .. text(NOW - tombstone_ms), "+inf")})

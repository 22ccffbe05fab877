-- A page of entries, or of those that have expired.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries
-- ARGV active or expired, prefix ("": all), behind this key ("": from the first), at most so many
-- Reply {keys, records, cursor, the last key if there is more}

if not open_entries("registry") then return UNOPENED end
settle_time()

local prefix, after, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
if ARGV[1] == "expired" then return done(page(tombstones_key, prefix, after, limit, NOW - tombstone_ms)) end
return done(page(active_key, prefix, after, limit, DUE <= NOW and NOW))

-- Reads entries.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries
-- ARGV for each: key, 1: also what has expired
-- Reply for each: its record, or null

if not open_entries("registry") then return UNOPENED end
settle_time()

local replies = {}
for i = 1, #ARGV / 2 do
  local key = ARGV[2 * i - 1]
  local there, tombstone = find(key)
  local kept = ARGV[2 * i] == "1" and tombstone and tombstone.expires_at + tombstone_ms > NOW
  replies[i] = (there or kept) and redis.call("HGET", entries_key, key) or false
end
return done(replies)

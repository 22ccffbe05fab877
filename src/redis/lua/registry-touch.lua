-- Starts the ttls of entries again.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries
-- ARGV for each: key
-- Reply for each: {version, deadline}, or null: absent, or without a ttl

if not open_entries("registry") then return UNOPENED end
settle_time()

local replies = {}
for i, key in ipairs(ARGV) do
  local entry = find(key)
  replies[i] = entry and entry.ttl_ms and touch(entry, entry.ttl_ms) or false
end
return done(replies)

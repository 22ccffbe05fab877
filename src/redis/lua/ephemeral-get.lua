-- Reads entries.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV for each: key
-- Reply for each: its record, or null

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

local replies = {}
for i, key in ipairs(ARGV) do replies[i] = find(key) and redis.call("HGET", entries_key, key) or false end
return done(replies)

-- Reads entries.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV for each: key
-- Reply for each: its record, or null

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

local replies = redis.call("HMGET", entries_key, unpack(ARGV))
for i, record in ipairs(replies) do replies[i] = record and is_there(record) and record end
return done(replies)

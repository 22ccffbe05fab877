-- Starts the ttls of entries again.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV for each: key, ttl (ms)
-- Reply for each: {version, deadline}, or null: absent

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

local replies = {}
for i = 1, #ARGV / 2 do
  local entry = find(ARGV[2 * i - 1])
  replies[i] = entry and touch(entry, tonumber(ARGV[2 * i])) or false
end
return done(replies)

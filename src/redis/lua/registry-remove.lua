-- Removes entries.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries
-- ARGV for each: key, reason ("": none)
-- Reply for each: 1, or null: there was none

if not open_entries("registry") then return UNOPENED end
settle_time()

local replies = {}
for i = 1, #ARGV / 2 do
  local entry = find(ARGV[2 * i - 1])
  if entry then remove(entry, ARGV[2 * i]) end
  replies[i] = entry ~= nil
end
return done(replies)

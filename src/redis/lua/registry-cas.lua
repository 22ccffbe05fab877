-- Replaces entries of the versions that are named.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries registry
-- ARGV for each: what prelude-registry.lua says
-- Reply for each: its stamp, or null: absent, or of another version; or its error

if not open_entries("registry") then return UNOPENED end
settle_time()

return each_write(function(at, there)
  return there and there.version == ARGV[at + 5] and replace(at, there) or false
end)

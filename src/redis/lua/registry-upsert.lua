-- Makes entries, or replaces them.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries registry
-- ARGV for each: what prelude-registry.lua says
-- Reply for each: its stamp; or its error

if not open_entries("registry") then return UNOPENED end
settle_time()

return each_write(function(at, earlier, tombstone)
  return not earlier and full(1) or upsert(at, earlier, tombstone)
end)

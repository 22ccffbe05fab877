-- Makes entries where there are none.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries registry
-- ARGV for each: what prelude-registry.lua says
-- Reply for each: {1, its stamp}, or {0, the record that is there}; or its error

if not open_entries("registry") then return UNOPENED end
settle_time()

return each_write(function(at, there, tombstone)
  if there then return {0, redis.call("HGET", entries_key, ARGV[at])} end
  return full(1) or {1, upsert(at, nil, tombstone)}
end)

-- Reads entries.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries
-- ARGV for each: key, 1: also what has expired
-- Reply for each: its record, or null

if not open_entries("registry") then return UNOPENED end
settle_time()

local keys, replies = {}, {}
for i = 1, #ARGV, 2 do keys[#keys + 1] = ARGV[i] end
for i, record in ipairs(redis.call("HMGET", entries_key, unpack(keys))) do
  replies[i] = record
  if record and not is_there(record) then
    local _, tombstone = find(keys[i])
    local kept = ARGV[2 * i] == "1" and tombstone.expires_at + tombstone_ms > NOW
    replies[i] = kept and redis.call("HGET", entries_key, keys[i])
  end
end
return done(replies)

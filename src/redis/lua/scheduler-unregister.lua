-- Removes a schedule.
-- KEYS meta schedules plans progress due events
-- PRELUDE scheduler
-- ARGV id, the metric's fields
-- Reply 1, or null when there was none

if not open() then return UNOPENED end
local known = redis.call("HDEL", progress_key, ARGV[1])
redis.call("HDEL", schedules_key, ARGV[1])
redis.call("HDEL", plans_key, ARGV[1])
redis.call("ZREM", due_key, ARGV[1])
report('"type":"schedule_unregistered",' .. ARGV[2])
return known == 1 and 1 or false

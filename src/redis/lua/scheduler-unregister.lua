-- Removes a schedule, if it is still the one that was looked at.
-- KEYS meta schedules plans progress due events
-- PRELUDE scheduler
-- ARGV id, its serial, the metric's fields
-- Reply null

if not open() then return UNOPENED end
local id = ARGV[1]
local schedule = read_schedule(id)
if schedule and schedule.serial == ARGV[2] then
  redis.call("HDEL", progress_key, id)
  redis.call("HDEL", schedules_key, id)
  redis.call("HDEL", plans_key, id)
  redis.call("ZREM", due_key, id)
end
report('"type":"schedule_unregistered",' .. ARGV[3])
return false

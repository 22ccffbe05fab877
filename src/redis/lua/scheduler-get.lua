-- Looks at one schedule.
-- KEYS meta schedules progress
-- ARGV id
-- Reply {time, seed, schedule, progress}; nulls when there is none

if not open() then return UNOPENED end
return {NOW, SEED, redis.call("HGET", schedules_key, ARGV[1]), redis.call("HGET", progress_key, ARGV[1])}

-- Looks at schedules.
-- KEYS meta schedules progress
-- ARGV ids
-- Reply for each: {time, seed, schedule, progress}; nulls when there is none

if not open() then return UNOPENED end
local schedules, progress = redis.call("HMGET", schedules_key, unpack(ARGV)), redis.call("HMGET", progress_key, unpack(ARGV))
local replies = {}
for i = 1, #ARGV do replies[i] = {NOW, SEED, schedules[i], progress[i]} end
return replies

-- All schedules.
-- KEYS meta schedules progress
-- Reply {id, schedule, id, schedule …}, {id, progress …}

if not open() then return UNOPENED end
return {redis.call("HGETALL", schedules_key), redis.call("HGETALL", progress_key)}

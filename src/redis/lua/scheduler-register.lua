-- Makes a schedule, or changes it.
-- KEYS meta schedules plans progress due events
-- PRELUDE scheduler
-- ARGV id, schedule, its cron and zone, its job's name, its next slot, since when that is the next, names the call, the
-- metric's fields
-- Reply {time; 1: made, 0: changed, -1: at this time another slot is the next, nothing happened}

if not open() then return UNOPENED end
local id, item, timing, job, next_at, since, call, metric = unpack(ARGV)
local schedule = read_schedule(id)
if schedule and schedule.madeBy == call then return {NOW, 1} end

local known_timing, known_job
if schedule then known_timing, known_job = string.match(redis.call("HGET", plans_key, id), "^(.-)\n(.*)$") end
if timing ~= known_timing and (NOW < tonumber(since) or NOW >= tonumber(next_at)) then return {NOW, -1} end

local made = not schedule
if made then
  schedule = {
    serial = text(redis.call("HINCRBY", meta_key, "lastSerial", 1)), madeBy = call, createdAt = text(NOW), lastRunAt = "-",
    paused = "0", lastRunId = "-", manualRunId = "-", holdSlot = "-", holdWhy = "-", holdUntil = "0", tries = "0", passes = "0",
  }
end
schedule.updatedAt = text(NOW)
if timing ~= known_timing then schedule.nextRunAt = next_at end
-- Runs of another job cannot be looked up where the next ones go.
if job ~= known_job then schedule.lastRunId, schedule.manualRunId = "-", "-" end
-- Whoever registers brings a handler.
if schedule.holdWhy == "unserved" then schedule.holdUntil = text(math.min(tonumber(schedule.holdUntil), NOW)) end
redis.call("HSET", schedules_key, id, item)
redis.call("HSET", plans_key, id, timing .. "\n" .. job)
write_schedule(id, schedule)
report('"type":"schedule_registered","created":' .. tostring(made) .. "," .. metric)
if not made then report('"type":"schedule_updated",' .. metric) end
return {NOW, made and 1 or 0}

-- A schedule goes on, with the first slot after now.
-- KEYS meta progress due events
-- PRELUDE scheduler
-- ARGV id, revision, the next slot, since when that is the next
-- Reply {time; 1: it goes on, 0: look at it again, nothing happened}

if not open() then return UNOPENED end
local id, revision, next_at, since = unpack(ARGV)
local schedule = read_schedule(id)
if not schedule or schedule.revision ~= revision then return {NOW, 0} end
-- Slots of the pause are not made up for.
if tonumber(schedule.nextRunAt) <= NOW then
  if NOW < tonumber(since) or NOW >= tonumber(next_at) then return {NOW, 0} end
  schedule.nextRunAt = next_at
end
schedule.paused = "0"
write_schedule(id, schedule)
return {NOW, 1}

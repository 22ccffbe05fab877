-- A schedule has no slots until it goes on.
-- KEYS meta progress due events
-- PRELUDE scheduler
-- ARGV id
-- Reply 1, or null when there is none

if not open() then return UNOPENED end
local schedule = read_schedule(ARGV[1])
if not schedule then return false end
if schedule.paused == "0" then
  schedule.paused = "1"
  write_schedule(ARGV[1], schedule)
end
return 1

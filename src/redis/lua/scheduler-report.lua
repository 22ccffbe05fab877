-- Tells of something that changed nothing here; of a manual run, whose id is kept for schedules that do not overlap.
-- KEYS meta progress due events
-- PRELUDE scheduler
-- ARGV the metric's fields; id and serial of the schedule and the run, or ""
-- Reply null

if not open() then return UNOPENED end
local schedule = ARGV[4] ~= "" and read_schedule(ARGV[2])
if schedule and schedule.serial == ARGV[3] then
  schedule.manualRunId = ARGV[4]
  write_schedule(ARGV[2], schedule)
end
report(ARGV[1])
return false

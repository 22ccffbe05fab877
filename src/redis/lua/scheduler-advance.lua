-- The leader has served a slot, or puts it off: for whoever still leads, and a schedule that is what it has read.
-- KEYS meta dead progress due events
-- PRELUDE scheduler
-- ARGV for each: process, epoch, id, revision, next slot, last slot, last run; of the hold its slot, why, until, tries,
-- passes; dead letter (JSON text or ""), metrics (their fields, in lines)
-- Reply for each: its new revision; 0: it is another by now, nothing happened; -1: another process leads, nothing happened

local STRIDE = 14
local CHANGED = {"nextRunAt", "lastRunAt", "lastRunId", "holdSlot", "holdWhy", "holdUntil", "tries", "passes"}

local settings = open("leader", "leaderEpoch", "leaderUntil", "dlqMaxEntries")
if not settings then return UNOPENED end

local function advance(at)
  if not leads(settings, ARGV[at], ARGV[at + 1]) then return -1 end
  local id, dead = ARGV[at + 2], ARGV[at + 12]
  local schedule = read_schedule(id)
  if not schedule or schedule.revision ~= ARGV[at + 3] then return 0 end
  for i, name in ipairs(CHANGED) do schedule[name] = ARGV[at + 3 + i] end
  write_schedule(id, schedule)
  if dead ~= "" then
    redis.call("LPUSH", dead_key, dead)
    redis.call("LTRIM", dead_key, 0, tonumber(settings[4]) - 1)
  end
  for metric in string.gmatch(ARGV[at + 13], "[^\n]+") do report(metric) end
  return tonumber(schedule.revision)
end

local replies = {}
for i = 1, #ARGV / STRIDE do replies[i] = advance((i - 1) * STRIDE + 1) end
return replies

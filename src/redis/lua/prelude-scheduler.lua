-- Schedules: what was registered, as the process wrote it, in `schedules`; how far it came, as words, in `progress`; when
-- there is something to do about it in `due`. Needs: progress, due, events.

local WORDS = {
  "revision", "serial", "madeBy", "createdAt", "updatedAt", "nextRunAt", "lastRunAt", "paused", "lastRunId", "manualRunId",
  "holdSlot", "holdWhy", "holdUntil", "tries", "passes",
}

local function read_schedule(id)
  local stored = redis.call("HGET", progress_key, id)
  if not stored then return nil end
  local schedule, i = {}, 0
  for word in string.gmatch(stored, "%S+") do
    i = i + 1
    schedule[WORDS[i]] = word
  end
  return schedule
end

-- Under a revision that no schedule of this scheduler had before, so that one made anew is not taken for the one before.
local function write_schedule(id, schedule)
  schedule.revision = text(take_numbers(1))
  local words = {}
  for i, name in ipairs(WORDS) do words[i] = schedule[name] end
  redis.call("HSET", progress_key, id, table.concat(words, " "))
  if schedule.paused == "1" then
    redis.call("ZREM", due_key, id)
    return
  end
  local at = tonumber(schedule.nextRunAt)
  if schedule.holdSlot == schedule.nextRunAt then at = math.max(at, tonumber(schedule.holdUntil)) end
  redis.call("ZADD", due_key, text(at), id)
  due_at(at)
end

-- The process leads, and nobody has since: settings as open() found "leader", "leaderEpoch", "leaderUntil".
local function leads(settings, process, epoch)
  return settings[1] == process and settings[2] == epoch and tonumber(settings[3]) > REAL
end

-- Tells who listens. `metric`: its fields as JSON, without the braces.
local function report(metric)
  redis.call("PUBLISH", events_key, 'scheduler.metric metric\n{' .. metric .. ',"ts":' .. text(NOW) .. "}")
end

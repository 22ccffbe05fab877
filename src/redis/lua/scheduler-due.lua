-- What the leader has to do: schedules that are due, those on time first, longest unserved first.
-- KEYS meta schedules progress due events
-- PRELUDE scheduler
-- ARGV process, its epoch
-- Reply {time, seed, config, milliseconds until something is due or -1, {id, schedule, progress …}}, or null: another leads

local settings = open("leader", "leaderEpoch", "leaderUntil", "config", "graceMs", "batchSize")
if not settings then return UNOPENED end
if not leads(settings, ARGV[1], ARGV[2]) then return false end

local limit, horizon = tonumber(settings[6]), text(NOW - tonumber(settings[5]))
local ids = redis.call("ZRANGEBYSCORE", due_key, horizon, text(NOW), "LIMIT", 0, limit)
if #ids < limit then
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", due_key, "-inf", "(" .. horizon, "LIMIT", 0, limit - #ids)) do
    ids[#ids + 1] = id
  end
end
local found = {}
for _, id in ipairs(ids) do
  found[#found + 1] = id
  found[#found + 1] = redis.call("HGET", schedules_key, id)
  found[#found + 1] = redis.call("HGET", progress_key, id)
end
set_due(first_score(due_key))
return {NOW, SEED, settings[4], due_in(), found}

-- Handles have stopped, or a leader makes way.
-- KEYS meta started progress due events
-- PRELUDE scheduler
-- ARGV process, how ("stay": others of its handles have started; "yield": only if another process has; "leave"), the
-- metric's fields, handles
-- Reply 1: it led and does not any more

local settings = open("leader", "leaderEpoch", "leaderUntil")
if not settings then return UNOPENED end
for i = 4, #ARGV do redis.call("ZREM", started_key, ARGV[1] .. " " .. ARGV[i]) end
if ARGV[2] == "stay" or settings[1] ~= ARGV[1] then return 0 end

local others = false
for _, member in ipairs(redis.call("ZRANGEBYSCORE", started_key, "(" .. text(REAL), "+inf")) do
  others = others or string.sub(member, 1, #ARGV[1] + 1) ~= ARGV[1] .. " "
end
if ARGV[2] == "yield" and not others then return 0 end
-- The epoch stays: the next one is higher.
redis.call("HDEL", meta_key, "leader", "leaderUntil")
report('"type":"leader_lost","leaderEpoch":' .. settings[2] .. "," .. ARGV[3])
if others then redis.call("PUBLISH", meta_key, "wake") end
return 1

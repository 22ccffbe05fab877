-- A process whose handles have started says that it lives: it stays the leader, or becomes it when there is none.
-- KEYS meta started progress due events
-- PRELUDE scheduler
-- ARGV process, 1: it may become the leader, fields of the metric, handles
-- Reply {time; 1: it leads; epoch; milliseconds that the leader has left; lease; heartbeat; milliseconds until due, or -1}

local settings = open("leader", "leaderEpoch", "leaderUntil", "leaseMs", "heartbeatMs")
if not settings then return UNOPENED end
local lease = tonumber(settings[4])

-- Who does not lead asks once in a lease.
redis.call("ZREMRANGEBYSCORE", started_key, "-inf", text(REAL))
for i = 4, #ARGV do redis.call("ZADD", started_key, text(REAL + 3 * lease), ARGV[1] .. " " .. ARGV[i]) end

local epoch, until_at = tonumber(settings[2]) or 0, tonumber(settings[3]) or 0
-- More than a lease ahead: the server's clock was set back.
local lives = settings[1] and until_at > REAL and until_at <= REAL + lease
local is_leader = lives and settings[1] == ARGV[1]
if is_leader then
  until_at = REAL + lease
  redis.call("HSET", meta_key, "leaderUntil", text(until_at))
elseif not lives and ARGV[2] == "1" then
  local time = redis.call("TIME")
  epoch = math.max(epoch + 1, time[1] * 1000000 + time[2])
  until_at = REAL + lease
  is_leader = true
  redis.call("HSET", meta_key, "leader", ARGV[1], "leaderEpoch", text(epoch), "leaderUntil", text(until_at))
  report('"type":"leader_acquired","leaderEpoch":' .. text(epoch) .. "," .. ARGV[3])
end
return {NOW, is_leader and 1 or 0, epoch, math.max(0, until_at - REAL), lease, tonumber(settings[5]), due_in()}

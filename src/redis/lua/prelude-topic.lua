-- A topic on Redis: its log (prelude-log.lua), and keys that name events of it. Groups: prelude-topic-groups.lua.
--
--   idKeys     hash   idempotency key → "n publishedAt untilAt eventId"
--   idKeysByN  zset   idempotency key by n: keys go with their events

local ID_KEYS_BATCH = 200

local limits = {}

-- Opens the instance and reads its settings.
local function open_topic()
  local s = open("logHead", "logTrimmed", "logOldestAt", "retentionMs", "maxLen", "payloadBytes", "reclaimAfterMs")
  if not s then return false end
  log_open(s[1], s[2], s[3], s[4], s[5])
  limits.retention, limits.payload, limits.reclaim = tonumber(s[4]), tonumber(s[6]), tonumber(s[7])
  return true
end

-- Forgets keys whose events are gone, at most so many. Returns whether there are more.
local function forget_keys(limit)
  local gone = redis.call("ZRANGEBYSCORE", idKeysByN_key, "-inf", text(log_trimmed), "LIMIT", 0, limit)
  if #gone == 0 then return false end
  redis.call("HDEL", idKeys_key, unpack(gone))
  redis.call("ZREM", idKeysByN_key, unpack(gone))
  return #gone == limit
end

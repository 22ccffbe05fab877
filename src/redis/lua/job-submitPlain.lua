-- Submits jobs that have no key, ordering key, delay, time or priority, and are no scheduler's.
-- KEYS meta jobs ready events waiters
-- PRELUDE log job line job-submit
-- ARGV for each: id, record without its numbers
-- Reply for each: null

local s = open("nextJob", "r", "x", "globalConcurrency", "paused", "retentionMs", "logHead", "logTrimmed", "logOldestAt")
if not s then return UNOPENED end
next_number = tonumber(s[1]) or 1
log_open(s[7], s[8], s[9], s[6], MAX_EVENTS)

local ids, replies, seen, before = {}, {}, {}, next_number
for at = 1, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end
local known = redis.call("HMGET", jobs_key, unpack(ids))
for i, id in ipairs(ids) do
  -- Those known were sent again after a lost reply.
  if not known[i] and not seen[id] then add_plain(id, ARGV[2 * i]) end
  seen[id] = true
  replies[i] = false
end
local added = next_number - before
if added == 0 then return replies end
redis.call("HSET", jobs_key, unpack(records))
redis.call("ZADD", ready_key, unpack(places))
redis.call("HSET", meta_key, "nextJob", text(next_number), "r", text((s[2] or 0) + added), unpack(log_fields()))
local may_run = not s[5] and (s[4] == "0" or tonumber(s[3] or 0) < tonumber(s[4]))
if may_run and redis.call("ZCARD", waiters_key) > 0 then redis.call("PUBLISH", meta_key, "wake claim") end
return replies

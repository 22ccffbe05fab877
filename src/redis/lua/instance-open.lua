-- Opens an instance: makes it when there is none, else takes over the settings that may change.
-- KEYS meta
-- ARGV name, config, fixed settings (JSON texts), seed, how far the clock is moved, then field, value …
-- Reply {1: made, 0: was there; milliseconds until something is due, -1: nothing}, or {-1; its fixed settings}

local stored = redis.call("HMGET", meta_key, "seed", "fixed", "config", "dueAt")
if stored[1] and stored[2] ~= ARGV[3] then return {-1, stored[2]} end
local fields = {"name", ARGV[1], "config", ARGV[2], "fixed", ARGV[3]}
if not stored[1] then
  fields[#fields + 1] = "seed"
  fields[#fields + 1] = ARGV[4]
end
-- Only tests move clocks.
if ARGV[5] ~= "0" then
  fields[#fields + 1] = "clock"
  fields[#fields + 1] = ARGV[5]
end
for i = 6, #ARGV do fields[#fields + 1] = ARGV[i] end
redis.call("HSET", meta_key, unpack(fields))
open()
-- Those who listened to one before it, whose data is lost, begin anew.
if not stored[1] then redis.call("PUBLISH", meta_key, "made") end
if stored[1] and stored[3] ~= ARGV[2] then
  redis.call("PUBLISH", string.sub(meta_key, 1, -5) .. "events", "instance.reconfigured config\n" .. ARGV[2])
end
return {stored[1] and 0 or 1, due_in()}

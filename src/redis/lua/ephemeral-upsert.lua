-- Makes entries, or replaces them.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV for each: key, value, its bytes, ttl (ms), handle that it is bound to ("": none), process
-- Reply for each: its stamp; or its error

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

local STRIDE = 6

local function upsert(at)
  local key, bound = ARGV[at], ARGV[at + 4] ~= ""
  local earlier = find(key)
  local refused = too_large(ARGV[at + 2]) or not earlier and full(1)
  if refused then return refused end
  return stamp(save({key = key, value = ARGV[at + 1], ttl_ms = tonumber(ARGV[at + 3]), meta = "null",
    created_at = earlier and earlier.created_at or NOW, owner = bound and ARGV[at + 5] or nil,
    handle = bound and ARGV[at + 4] or "null"}, earlier))
end

local replies = {}
for i = 1, #ARGV / STRIDE do replies[i] = upsert((i - 1) * STRIDE + 1) end
return done(replies)

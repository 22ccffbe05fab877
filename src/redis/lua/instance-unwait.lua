-- Calls that wait no longer.
-- KEYS meta waiters
-- ARGV their ids
-- Reply how many waited

local found = 0
for _, id in ipairs(ARGV) do found = found + redis.call("ZREM", waiters_key, id) end
return found

-- Calls that wait no longer: whoever stands behind them moves up.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV their ids
-- Reply how many waited

if not open_mutex() then return UNOPENED end

local before = redis.call("ZCARD", waiters_key)
for _, id in ipairs(ARGV) do leave_line(id) end
offer_all()
return before - redis.call("ZCARD", waiters_key)

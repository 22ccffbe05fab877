-- Who holds a resource, and how many wait for it.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV resource
-- Reply {holders as {value, token, 1: shared, end by its holder's clock, process}, how many wait}

if not open_mutex() then return UNOPENED end

local holders = {}
for i, lock in ipairs(holders_of(ARGV[1])) do
  holders[i] = {lock.value, lock.token, lock.shared and 1 or 0, lock.told, lock.owner}
end
local prefix = prefix_of(ARGV[1])
return {holders, redis.call("ZLEXCOUNT", line_key, "[" .. prefix, range_end(prefix))}

-- Locks, those first that end first.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV at most so many
-- Reply {resource, value, token, 1: shared, end, ttl (ms), process}

if not open_mutex() then return UNOPENED end

local found = {}
for i, value in ipairs(redis.call("ZRANGEBYSCORE", ends_key, "(" .. text(NOW), "+inf", "LIMIT", 0, ARGV[1])) do
  local lock = lock_of(value)
  found[i] = {lock.resource, value, lock.token, lock.shared and 1 or 0, lock.ends_at, lock.ttl, lock.owner}
end
return found

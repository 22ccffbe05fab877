-- Gives locks back; those that are not held any more are no matter.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV for each: resource, value
-- Reply for each: null

if not open_mutex() then return UNOPENED end

local replies = {}
for i = 1, #ARGV / 2 do
  local lock = lock_of(ARGV[2 * i])
  if lock and lock.resource == ARGV[2 * i - 1] then remove_lock(lock) end
  replies[i] = false
end
offer_all()
return replies

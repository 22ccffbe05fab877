-- Lets the ttl of locks begin anew.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV for each: resource, value, ttl (ms), when it was sent by the process's clock
-- Reply for each: its new end by the process's clock, or null when it is not held any more

if not open_mutex() then return UNOPENED end

local replies = {}
for i = 1, #ARGV / 4 do
  local at = 4 * i - 3
  local lock = held(ARGV[at], ARGV[at + 1])
  if lock then
    lock.ttl = tonumber(ARGV[at + 2])
    lock.ends_at, lock.told = NOW + lock.ttl, tonumber(ARGV[at + 3]) + NOW - REAL + lock.ttl
    put_lock(lock)
  end
  replies[i] = lock and lock.told or false
end
return replies

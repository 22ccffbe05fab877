-- Dead letters, oldest first.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV at most so many, after this number
-- Reply {entries as {record, attempts, moved at, reason, error}, number of the last when there are more}

if not open_queue() then return UNOPENED end
settle_time()
forget_old_dead()

local limit, entries, last = tonumber(ARGV[1]), {}, false
local ids = redis.call("ZRANGEBYSCORE", deadOrder_key, "(" .. ARGV[2], "+inf", "LIMIT", 0, limit + 1)
for i = 1, math.min(limit, #ids) do
  local d = read_dead(redis.call("HGET", dead_key, ids[i]))
  entries[i] = {d.record, d.attempts, d.moved_at, d.reason, d.error}
  last = d.n
end
return {entries, #ids > limit and last or false}

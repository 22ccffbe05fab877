-- Removes a dead letter.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV its id
-- Reply 1, or null when there is none

if not open_queue() then return UNOPENED end
settle_time()
forget_old_dead()

if redis.call("HDEL", dead_key, ARGV[1]) == 0 then return false end
redis.call("ZREM", deadOrder_key, ARGV[1])
-- There is room for one that had none.
due_at(NOW)
return 1

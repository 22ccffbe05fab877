-- Removes all dead letters.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- Reply how many

if not open_queue() then return UNOPENED end
settle_time()
forget_old_dead()

local count = redis.call("ZCARD", deadOrder_key)
redis.call("DEL", dead_key, deadOrder_key)
-- There is room for those that had none.
due_at(NOW)
return count

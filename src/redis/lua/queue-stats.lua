-- Counts.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- Reply {all, delayed, leased, dead, waiters, idempotency keys, paused}

local found = open_queue("paused")
if not found then return UNOPENED end
settle_time()

return {redis.call("HLEN", messages_key), redis.call("ZCARD", delayed_key), redis.call("HLEN", deliveries_key),
  redis.call("ZCARD", deadOrder_key), waiting(), redis.call("HLEN", idKeys_key), found[2] and 1 or 0}

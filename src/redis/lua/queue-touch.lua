-- Makes leases end later.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV for each: delivery id, lease (ms, 0: as long as it was)
-- Reply for each: the new end, or null when it is no longer its holder's

if not open_queue() then return UNOPENED end

local replies = {}
for i = 1, #ARGV / 2 do
  local d = held(ARGV[2 * i - 1])
  if d then
    local lease_ms = tonumber(ARGV[2 * i])
    if lease_ms > 0 then d.lease_ms = lease_ms end
    d.until_at = NOW + d.lease_ms
    redis.call("HSET", deliveries_key, d.id, delivery_text(d))
    redis.call("ZADD", leases_key, text(d.until_at), d.id)
    due_at(d.until_at)
    replies[i] = d.until_at
  else
    replies[i] = false
  end
end
return replies

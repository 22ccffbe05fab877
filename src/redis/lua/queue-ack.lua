-- Settles deliveries: their messages are done.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue
-- ARGV delivery ids
-- Reply for each: 1, or null when it is no longer its holder's

if not open_queue() then return UNOPENED end

local replies = {}
for i, id in ipairs(ARGV) do
  local d = held(id)
  replies[i] = d and 1 or false
  if d then
    local record = limits.keyed and message(d.seq)
    end_delivery(d)
    redis.call("HDEL", messages_key, d.seq)
    if record and record.key then
      unblock(d.seq, record)
      wake()
    end
  end
end
return replies

-- Gives a delivery back: to the back of the line, to a later time, or to the dead letters.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV delivery id, delay, 1: to the dead letters, what to delay by when those are full (-1: refuse), 1: with a reason,
--      reason, 1: with an error, error
-- Reply 1, or null when it is no longer its holder's

local found = open_queue("maxNackDelayMs", "maxDeliveries", "maxDead")
if not found then return UNOPENED end

local max_delay, max_deliveries = tonumber(found[2]), tonumber(found[3])
local delay, dead_letter, else_delay = tonumber(ARGV[2]), ARGV[3] == "1", tonumber(ARGV[4])
if delay > max_delay then return {err = "TL RANGE delayMs must be at most maxNackDelayMs (" .. text(max_delay) .. ")"} end
local d = held(ARGV[1])
if not d then return false end
local record_text = redis.call("HGET", messages_key, d.seq)
local record = read_record(record_text)
local err = ARGV[7] == "1" and ARGV[8] or d.error
if dead_letter or d.attempts >= max_deliveries then
  local reason = ARGV[5] == "1" and ARGV[6] or (dead_letter and "nack" or "max_deliveries_exceeded")
  if bury(d.seq, record_text, record.id, d.attempts, reason, err) then
    end_delivery(d)
    unblock(d.seq, record)
    wake()
    return 1
  end
  if dead_letter and else_delay < 0 then return {err = "TL CAPACITY maxDead " .. found[4]} end
  if else_delay >= 0 then delay = else_delay end
  delay = math.min(delay, max_delay)
end
end_delivery(d)
if delay > 0 then
  put_state(d.seq, {attempts = d.attempts, order = d.order, ready_at = d.ready_at, retry = true, error = err})
  redis.call("ZADD", delayed_key, text(NOW + delay), seq_member(d.seq))
  due_at(NOW + delay)
else
  put_back(d.seq, record, d.attempts, err)
end
return 1

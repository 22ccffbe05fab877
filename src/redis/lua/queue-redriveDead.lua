-- Sends dead letters again, under their ids, as new messages.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue
-- ARGV delay, 1: all of them, ids
-- Reply how many

if not open_queue() then return UNOPENED end
settle_time()
forget_old_dead()

local delay = tonumber(ARGV[1])
local ids = {}
for i = 3, #ARGV do ids[#ids + 1] = ARGV[i] end
if ARGV[2] == "1" then ids = redis.call("ZRANGE", deadOrder_key, 0, -1) end
local redriven = 0
for _, id in ipairs(ids) do
  local dead = redis.call("HGET", dead_key, id)
  if dead then
    local record = read_record(read_dead(dead).record)
    redis.call("HDEL", dead_key, id)
    redis.call("ZREM", deadOrder_key, id)
    local seq = take_numbers(1)
    record.age_from = NOW + delay
    redis.call("HSET", messages_key, text(seq),
      make_record(record.id, record.priority, record.age_from, record.bytes, record.key, record.meta, record.data))
    if delay > 0 then
      redis.call("ZADD", delayed_key, text(record.age_from), seq_member(seq))
      due_at(record.age_from)
    else
      enter(text(seq), record, {order = seq})
    end
    due_at(record.age_from + limits.age + 1)
    redriven = redriven + 1
  end
end
if redriven > 0 then wake() end
return redriven

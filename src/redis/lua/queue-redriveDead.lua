-- Sends dead letters again, under their ids, as new messages.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV delay, 1: all of them, ids
-- Reply how many

local found = open_queue("maxMessageAgeMs")
if not found then return UNOPENED end
settle_time()
forget_old_dead()

local delay, max_age = tonumber(ARGV[1]), tonumber(found[2])
local age_from = NOW + delay
local ids = {}
for i = 3, #ARGV do ids[#ids + 1] = ARGV[i] end
if ARGV[2] == "1" then ids = redis.call("ZRANGE", deadOrder_key, 0, -1) end
local redriven = 0
for _, id in ipairs(ids) do
  local dead = redis.call("HGET", dead_key, id)
  if dead then
    local record = aged_from(read_dead(dead).record, age_from)
    redis.call("HDEL", dead_key, id)
    redis.call("ZREM", deadOrder_key, id)
    local seq = take_numbers(1)
    redis.call("HSET", messages_key, text(seq), record)
    if delay > 0 then
      redis.call("ZADD", delayed_key, text(age_from), seq_member(seq))
      due_at(age_from)
    else
      line_move(text(seq), line_item(text(seq), read_record(record), {order = seq}), false, "line")
    end
    due_at(age_from + max_age + 1)
    redriven = redriven + 1
  end
end
if redriven > 0 then
  wake()
  -- There is room for those that had none.
  due_at(NOW)
end
return redriven

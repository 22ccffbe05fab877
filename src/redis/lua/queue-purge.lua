-- Removes what waits and what is delayed.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- Reply how many

if not open_queue() then return UNOPENED end
settle_time()

local removed = 0
local function remove_all(members, seq_of)
  for _, member in ipairs(members) do
    local seq = seq_of(member)
    local record = keyed and message(seq)
    forget_message(seq)
    removed = removed + 1
    if record and record.key and redis.call("HGET", blocked_key, record.key) == seq then
      redis.call("HDEL", blocked_key, record.key)
    end
  end
end
-- Those with a key stand in line only for their lanes: counted there.
local standing = {}
for _, seq in ipairs(redis.call("ZRANGE", ready_key, 0, -1)) do
  if not keyed or not message(seq).key then standing[#standing + 1] = seq end
end
remove_all(standing, function(seq) return seq end)
remove_all(redis.call("ZRANGE", lanes_key, 0, -1), lane_name)
remove_all(redis.call("ZRANGE", delayed_key, 0, -1), function(member) return text(tonumber(member)) end)
redis.call("DEL", delayed_key, lanes_key, ready_key)
return removed

-- Messages, left where they are: those that are held, those that wait, those that are delayed.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV at most so many
-- Reply {record, place, attempt, until, process}

if not open_queue() then return UNOPENED end
settle_time()

local limit, found = tonumber(ARGV[1]), {}
local function look(record, place, attempt, until_at, owner)
  found[#found + 1] = {record, place, attempt, until_at or false, owner or false}
end
local function waiting(seq, place, until_at)
  local record = redis.call("HGET", messages_key, seq)
  look(record, place, state_of(seq, 0).attempts, until_at)
end
for _, id in ipairs(redis.call("ZRANGE", leases_key, 0, limit - 1)) do
  local d = read_delivery(id, redis.call("HGET", deliveries_key, id))
  look(redis.call("HGET", messages_key, d.seq), "leased", d.attempts, d.until_at, d.owner)
end
if #found < limit then
  for _, seq in ipairs(redis.call("ZRANGE", ready_key, 0, limit - #found - 1)) do
    if not keyed or not message(seq).key then waiting(seq, "ready") end
  end
end
if keyed and #found < limit then
  for _, member in ipairs(redis.call("ZRANGE", lanes_key, 0, limit - #found - 1)) do
    waiting(lane_name(member), "ready")
  end
end
if #found < limit then
  for _, member in ipairs(redis.call("ZRANGE", delayed_key, 0, limit - #found - 1)) do
    waiting(text(tonumber(member)), "delayed", tonumber(redis.call("ZSCORE", delayed_key, member)))
  end
end
return found

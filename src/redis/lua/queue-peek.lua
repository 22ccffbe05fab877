-- Messages, left where they are: those that are held, those that wait, those that are delayed.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue
-- ARGV at most so many
-- Reply {id, data, place, attempt, priority, key, until, process}

if not open_queue() then return UNOPENED end
settle_time()

local limit, found = tonumber(ARGV[1]), {}
local function look(record, place, attempt, until_at, owner)
  found[#found + 1] = {record.id, record.data, place, attempt, record.priority, record.key or false, until_at or false, owner or false}
end
for _, id in ipairs(redis.call("ZRANGE", leases_key, 0, limit - 1)) do
  local d = delivery(id)
  look(message(d.seq), "leased", d.attempts, d.until_at, d.owner)
end
local function waiting_in_line(seq)
  local record = message(seq)
  look(record, "ready", state_of(seq, record.age_from).attempts)
end
if #found < limit then
  for _, seq in ipairs(redis.call("ZRANGE", ready_key, 0, limit - #found - 1)) do
    if not limits.keyed or not message(seq).key then waiting_in_line(seq) end
  end
end
if limits.keyed and #found < limit then
  for _, member in ipairs(redis.call("ZRANGE", lanes_key, 0, limit - #found - 1)) do
    waiting_in_line(text(tonumber(string.sub(member, -16))))
  end
end
if #found < limit then
  for _, member in ipairs(redis.call("ZRANGE", delayed_key, 0, limit - #found - 1)) do
    local seq = text(tonumber(member))
    local record = message(seq)
    look(record, "delayed", state_of(seq, record.age_from).attempts, tonumber(redis.call("ZSCORE", delayed_key, member)))
  end
end
return found

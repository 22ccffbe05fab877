-- Sends messages together: all of them, or none.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue
-- ARGV for each: as in queue-send.lua
-- Reply null: all accepted; or for each null, or the id of the message that its idempotency key names

local STRIDE = 11

if not open_queue() then return UNOPENED end
settle_time()

local replies, accepted, first_of_key, keys = {}, {}, {}, {}
local count = #ARGV / STRIDE
for i = 1, count do
  local at = (i - 1) * STRIDE + 1
  if tonumber(ARGV[at + 2]) > limits.payload then
    return {err = "TL TOO_LARGE " .. text(limits.payload) .. " " .. ARGV[at + 2]}
  end
  local id_key, earlier = ARGV[at + 7], false
  if id_key ~= "" then
    local known = redis.call("HGET", idKeys_key, id_key)
    if known then
      local until_at, id = string.match(known, "^(%d+) (.+)$")
      if tonumber(until_at) > NOW then earlier = id end
    end
    earlier = earlier or first_of_key[id_key] or false
    if not earlier then
      first_of_key[id_key] = ARGV[at]
      keys[#keys + 1] = at
    end
  end
  replies[i] = earlier
  if not earlier then accepted[#accepted + 1] = at end
end
if limits.messages > 0 and redis.call("HLEN", messages_key) + #accepted > limits.messages then
  return {err = "TL CAPACITY maxMessages " .. text(limits.messages)}
end
if #keys > 0 and redis.call("HLEN", idKeys_key) + #keys > limits.keys then
  return {err = "TL CAPACITY maxIdempotencyKeys " .. text(limits.keys)}
end
for _, at in ipairs(keys) do
  local until_at = NOW + tonumber(ARGV[at + 8])
  redis.call("HSET", idKeys_key, ARGV[at + 7], text(until_at) .. " " .. ARGV[at])
  redis.call("ZADD", idKeysByEnd_key, text(until_at), ARGV[at + 7])
  due_at(until_at)
end
enqueue(accepted)
if #accepted == count then return false end
return replies

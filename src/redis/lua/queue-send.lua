-- Sends messages, each on its own.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue
-- ARGV for each: id, data, bytes, meta, key, delay, priority, idempotency key, its ttl, 1 for each of meta and key given
-- Reply for each: null, or the id of the message that its idempotency key names; or its error

local STRIDE = 11

if not open_queue() then return UNOPENED end
settle_time()

local depth = limits.messages > 0 and redis.call("HLEN", messages_key) or 0
local replies, accepted = {}, {}
local known_keys

local function judge(at)
  local bytes, id_key = tonumber(ARGV[at + 2]), ARGV[at + 7]
  if bytes > limits.payload then return {err = "TL TOO_LARGE " .. text(limits.payload) .. " " .. ARGV[at + 2]} end
  if id_key ~= "" then
    local known = redis.call("HGET", idKeys_key, id_key)
    if known then
      local until_at, id = string.match(known, "^(%d+) (.+)$")
      if tonumber(until_at) > NOW then return id end
    end
  end
  if limits.messages > 0 and depth >= limits.messages then
    return {err = "TL CAPACITY maxMessages " .. text(limits.messages)}
  end
  if id_key ~= "" then
    known_keys = known_keys or redis.call("HLEN", idKeys_key)
    if known_keys >= limits.keys then return {err = "TL CAPACITY maxIdempotencyKeys " .. text(limits.keys)} end
    known_keys = known_keys + 1
    local until_at = NOW + tonumber(ARGV[at + 8])
    redis.call("HSET", idKeys_key, id_key, text(until_at) .. " " .. ARGV[at])
    redis.call("ZADD", idKeysByEnd_key, text(until_at), id_key)
    due_at(until_at)
  end
  depth = depth + 1
  return nil
end

local count = #ARGV / STRIDE
for i = 1, count do
  local at = (i - 1) * STRIDE + 1
  local refused = judge(at)
  replies[i] = refused or false
  if not refused then accepted[#accepted + 1] = at end
end
enqueue(accepted)
return replies

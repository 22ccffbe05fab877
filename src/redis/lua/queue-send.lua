-- Sends messages, each on its own.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end queue-send
-- ARGV for each: its record without "ageFrom ", bytes, "" or "delay priority ttl id\n" idempotency key
-- Reply for each: null, or the id of the message that its idempotency key names; or its error

local found = open_queue("payloadBytes", "maxMessageAgeMs", "maxMessages", "levels")
if not found then return UNOPENED end
settle_time()

local max_bytes, max_age, max_messages = tonumber(found[2]), tonumber(found[3]), tonumber(found[4])
local depth = max_messages > 0 and redis.call("HLEN", messages_key) or -1
local known_keys, max_keys
local replies, accepted, options_at = {}, {}, {}

-- nil: it is accepted.
local function judge(at)
  local options = ARGV[at + 2] ~= "" and send_options(ARGV[at + 2])
  if tonumber(ARGV[at + 1]) > max_bytes then return {err = "TL TOO_LARGE " .. text(max_bytes) .. " " .. ARGV[at + 1]} end
  local id_key = options and options.id_key ~= ""
  local earlier = id_key and known_as(options.id_key)
  if earlier then return earlier end
  if depth >= max_messages then return {err = "TL CAPACITY maxMessages " .. text(max_messages)} end
  if id_key then
    known_keys, max_keys = known_keys or redis.call("HLEN", idKeys_key), max_keys or setting("maxIdempotencyKeys")
    if known_keys >= max_keys then return {err = "TL CAPACITY maxIdempotencyKeys " .. text(max_keys)} end
    known_keys = known_keys + 1
    remember(options)
  end
  if depth >= 0 then depth = depth + 1 end
  options_at[at] = options
  return nil
end

for at = 1, #ARGV, SEND_STRIDE do
  local refused = judge(at)
  replies[#replies + 1] = refused or false
  if not refused then accepted[#accepted + 1] = at end
end
enqueue(accepted, options_at, max_age, found[5])
return replies

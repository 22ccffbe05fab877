-- Sends messages together: all of them, or none.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end queue-send
-- ARGV for each: as in queue-send.lua
-- Reply null: all accepted; or for each null, or the id of the message that its idempotency key names

local found = open_queue("payloadBytes", "maxMessageAgeMs", "maxMessages", "levels")
if not found then return UNOPENED end
settle_time()

local max_bytes, max_age, max_messages = tonumber(found[2]), tonumber(found[3]), tonumber(found[4])
local replies, accepted, options_at, first_of_key, new_keys = {}, {}, {}, {}, {}

-- The message that stands for this one, if it is not the first of its idempotency key.
local function earlier_than(options)
  local earlier = known_as(options.id_key) or first_of_key[options.id_key]
  if earlier then return earlier end
  first_of_key[options.id_key] = options.id
  new_keys[#new_keys + 1] = options
  return nil
end

for at = 1, #ARGV, SEND_STRIDE do
  if tonumber(ARGV[at + 1]) > max_bytes then
    return {err = "TL TOO_LARGE " .. text(max_bytes) .. " " .. ARGV[at + 1]}
  end
  local options = ARGV[at + 2] ~= "" and send_options(ARGV[at + 2])
  local earlier = options and options.id_key ~= "" and earlier_than(options)
  replies[#replies + 1] = earlier or false
  if not earlier then
    accepted[#accepted + 1] = at
    options_at[at] = options
  end
end
if max_messages > 0 and redis.call("HLEN", messages_key) + #accepted > max_messages then
  return {err = "TL CAPACITY maxMessages " .. text(max_messages)}
end
if #new_keys > 0 then
  local max_keys = setting("maxIdempotencyKeys")
  if redis.call("HLEN", idKeys_key) + #new_keys > max_keys then
    return {err = "TL CAPACITY maxIdempotencyKeys " .. text(max_keys)}
  end
end
for _, options in ipairs(new_keys) do remember(options) end
enqueue(accepted, options_at, max_age, found[5])
if #accepted == #replies then return false end
return replies

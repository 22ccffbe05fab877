-- Sends messages that have no key, delay, priority or idempotency key, each on its own, while nothing is due.
-- KEYS meta messages ready waiters
-- PRELUDE waiters queue line
-- ARGV for each: its record without "ageFrom ", bytes
-- Reply for each: null; or its error

local found = open("payloadBytes", "maxMessageAgeMs", "maxMessages")
if not found then return UNOPENED end
if DUE <= NOW then return ELSE end

local max_bytes, max_messages = tonumber(found[1]), tonumber(found[3])
local room = max_messages > 0 and max_messages - redis.call("HLEN", messages_key) or NEVER
local age_from = text(NOW) .. " "
local replies, records, count = {}, {}, 0
for at = 1, #ARGV, 2 do
  local refused = false
  if tonumber(ARGV[at + 1]) > max_bytes then
    refused = {err = "TL TOO_LARGE " .. text(max_bytes) .. " " .. ARGV[at + 1]}
  elseif count >= room then
    refused = {err = "TL CAPACITY maxMessages " .. text(max_messages)}
  else
    count = count + 1
    records[2 * count] = age_from .. ARGV[at]
  end
  replies[(at + 1) / 2] = refused
end
if count == 0 then return replies end
local before, places = take_numbers(count) - 1, {}
for i = 1, count do
  local seq = text(before + i)
  records[2 * i - 1] = seq
  places[2 * i - 1] = text(plain_place(before + i))
  places[2 * i] = seq
end
redis.call("HSET", messages_key, unpack(records))
redis.call("ZADD", ready_key, unpack(places))
due_at(NOW + found[2] + 1)
wake()
return replies

-- Settles deliveries: their messages are done.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV delivery ids
-- Reply for each: 1, or null when it is no longer its holder's

if not open_queue() then return UNOPENED end

local found = redis.call("HMGET", deliveries_key, unpack(ARGV))
local replies, ids, seqs, settled = {}, {}, {}, {}
for i, id in ipairs(ARGV) do
  local until_at, seq = string.match(found[i] or "", "^(%d+) (%d+)")
  local ours = until_at and tonumber(until_at) > NOW and not settled[id]
  replies[i] = ours and 1 or false
  if ours then
    settled[id] = true
    ids[#ids + 1] = id
    seqs[#seqs + 1] = seq
  end
end
if #ids == 0 then return replies end
local records = keyed and redis.call("HMGET", messages_key, unpack(seqs))
redis.call("HDEL", deliveries_key, unpack(ids))
redis.call("ZREM", leases_key, unpack(ids))
redis.call("HDEL", messages_key, unpack(seqs))
if keyed then
  for i, seq in ipairs(seqs) do unblock(seq, read_record(records[i])) end
  wake()
end
return replies

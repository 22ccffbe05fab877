-- A process ends: what it holds is handed back.
-- KEYS meta events groups deliveries slots idle deadlines byOwner owners held waiters
-- PRELUDE waiters owners log topic topic-groups
-- ARGV process
-- Reply how many deliveries it held

if not open_topic() then return UNOPENED end

local owner, ids = ARGV[1], {}
local members = redis.call("ZRANGEBYLEX", byOwner_key, "[" .. owner .. ":", "(" .. owner .. ";")
for i, member in ipairs(members) do ids[i] = string.sub(member, #owner + 2) end
for _, d in pairs(deliveries_of(ids)) do make_idle(d, d.attempt - 1) end
flush()
redis.call("HDEL", held_key, owner)
redis.call("ZREM", owners_key, owner)
if #ids > 0 then wake() end
return #ids

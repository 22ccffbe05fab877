-- Puts off when deliveries become idle.
-- KEYS meta events groups deliveries slots idle deadlines byOwner owners held waiters
-- PRELUDE waiters owners log topic topic-groups
-- ARGV for each: group, delivery id
-- Reply for each: 1, or null when it was committed or taken over

if not open_topic() then return UNOPENED end

local ids, replies = {}, {}
for i = 1, #ARGV / 2 do ids[i] = ARGV[2 * i] end
local found = deliveries_of(ids)
for i, id in ipairs(ids) do
  local d = in_group(found, find_group(ARGV[2 * i - 1]), id)
  replies[i] = d and 1 or false
  if d then touch(d) end
end
flush()
return replies

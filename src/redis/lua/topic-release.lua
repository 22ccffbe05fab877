-- Hands deliveries back: anyone may take them over, the attempt is not counted.
-- KEYS meta events groups deliveries slots idle deadlines byOwner owners held waiters
-- PRELUDE waiters owners log topic topic-groups
-- ARGV group, delivery ids
-- Reply how many

if not open_topic() then return UNOPENED end

local group, ids, released = find_group(ARGV[1]), {}, 0
for i = 2, #ARGV do ids[#ids + 1] = ARGV[i] end
local found = deliveries_of(ids)
for _, id in ipairs(ids) do
  local d = in_group(found, group, id)
  if d then
    make_idle(d, d.attempt - 1)
    released = released + 1
  end
  found[id] = nil
end
flush()
if released > 0 then wake() end
return released

-- Publishes events together: all of them, or none.
-- KEYS meta events idKeys idKeysByN waiters
-- PRELUDE waiters log topic topic-publish
-- ARGV for each: as in topic-publish.lua
-- Reply for each: {generation, n; id of the earlier event that its idempotency key names}

if not open_topic() then return UNOPENED end

local places = {}
for at = 1, #ARGV, STRIDE do
  if tonumber(ARGV[at + 1]) > limits.payload then
    return {err = "TL TOO_LARGE " .. text(limits.payload) .. " " .. ARGV[at + 1]}
  end
  places[#places + 1] = at
end
return publish_all(places)

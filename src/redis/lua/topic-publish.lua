-- Publishes events, each on its own.
-- KEYS meta events idKeys idKeysByN waiters
-- PRELUDE waiters log topic topic-publish
-- ARGV for each: event (JSON without n, publishedAt and the braces), bytes, idempotency key, its ttl, event id
-- Reply for each: {generation, n; id of the earlier event that its idempotency key names}; or its error

if not open_topic() then return UNOPENED end

local replies, places, of = {}, {}, {}
for i = 1, #ARGV / STRIDE do
  local at = (i - 1) * STRIDE + 1
  if tonumber(ARGV[at + 1]) > limits.payload then
    replies[i] = {err = "TL TOO_LARGE " .. text(limits.payload) .. " " .. ARGV[at + 1]}
  else
    places[#places + 1] = at
    of[#of + 1] = i
  end
end
for i, reply in ipairs(publish_all(places)) do replies[of[i]] = reply end
return replies

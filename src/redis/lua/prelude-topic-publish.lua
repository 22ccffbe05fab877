-- Publishing (topic-publish.lua, topic-publishMany.lua).

local STRIDE = 5

-- What the keys among the arguments name: key → {n, event id}, or nil.
local function known_keys()
  local asked, known = {}, {}
  for at = 1, #ARGV, STRIDE do
    if ARGV[at + 2] ~= "" then asked[#asked + 1] = ARGV[at + 2] end
  end
  if #asked == 0 then return known end
  for i, found in ipairs(redis.call("HMGET", idKeys_key, unpack(asked))) do
    if found then
      local n, published_at, until_at, event_id = string.match(found, "^(%d+) (%d+) (%d+) (.+)$")
      n = tonumber(n)
      if tonumber(until_at) > NOW and tonumber(published_at) + limits.retention >= NOW and n > log_trimmed then
        known[asked[i]] = {n, event_id}
      end
    end
  end
  return known
end

-- Publishes the events whose arguments begin at these places, except those whose key names an earlier one. Returns for
-- each {generation, n, id of the earlier one}.
local function publish_all(places)
  if #places == 0 then return {} end
  local known, replies, keys, numbers, trimmed = known_keys(), {}, {}, {}, log_trimmed
  for i, at in ipairs(places) do
    local id_key = ARGV[at + 2]
    local earlier = known[id_key]
    if earlier then
      replies[i] = {SEED, earlier[1], earlier[2]}
    else
      local n = log_append("topic.published", nil, ARGV[at])
      replies[i] = {SEED, n}
      if id_key ~= "" then
        known[id_key] = {n, ARGV[at + 4]}
        keys[#keys + 1] = id_key
        keys[#keys + 1] = text(n) .. " " .. text(NOW) .. " " .. text(NOW + tonumber(ARGV[at + 3])) .. " " .. ARGV[at + 4]
        numbers[#numbers + 1] = text(n)
        numbers[#numbers + 1] = id_key
      end
    end
  end
  log_save()
  if #keys > 0 then
    redis.call("HSET", idKeys_key, unpack(keys))
    redis.call("ZADD", idKeysByN_key, unpack(numbers))
  end
  -- More than may have come.
  if log_trimmed > trimmed then forget_keys(#places + ID_KEYS_BATCH) end
  wake()
  return replies
end

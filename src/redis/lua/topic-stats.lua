-- Counts.
-- KEYS meta events idKeys idKeysByN groups deliveries slots idle deadlines byOwner owners held waiters
-- PRELUDE waiters owners log topic topic-groups
-- Reply {generation, head, events, waiters, then for each group: name, events ahead of it, deliveries}

if not open_topic() then return UNOPENED end
settle_time()

local reply = {SEED, log_head, log_head - log_trimmed, waiting()}
for _, name in ipairs(redis.call("HKEYS", groups_key)) do
  local group = find_group(name)
  local prefix = string.format("%010d", group.gid)
  push(reply, name, log_head - math.max(group.position, log_trimmed))
  push(reply, redis.call("ZLEXCOUNT", slots_key, "[" .. prefix .. ":", "(" .. prefix .. ";"))
end
return reply

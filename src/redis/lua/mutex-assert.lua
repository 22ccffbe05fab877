-- What a process says that it holds, to a server that may have lost it.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV process, when it was sent by its clock, then for each: resource, value, token, 1: shared, what is left of the ttl
--      (ms)
-- Reply for each: its end by the process's clock, or null: it is lost

if not open_mutex() then return UNOPENED end

local owner, sent_at = ARGV[1], tonumber(ARGV[2])

-- Tokens up to last_token that this server did not give are of data that is lost. Those beyond it are of data whose
-- last part is lost: since then nothing was granted, for that would have a higher one.
local function is_over(resource, token, shared)
  if token > last_token then return false end
  if token >= own_from or REAL >= late_until then return true end
  local recent = redis.call("HGET", recent_key, resource)
  return recent and excludes(recent == "1", shared)
end

local function assert_one(at)
  local resource, value, token = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local shared, ttl = ARGV[at + 3] == "1", tonumber(ARGV[at + 4])
  local own = held(resource, value)
  if own then return own.told end
  if token > LAST_TOKEN - 10000 or ttl <= 0 or is_over(resource, token, shared) then return false end
  local in_the_way = {}
  for _, lock in ipairs(holders_of(resource)) do
    if excludes(lock.shared, shared) then
      if lock.token >= token then return false end
      in_the_way[#in_the_way + 1] = lock
    end
  end
  for _, lock in ipairs(in_the_way) do remove_lock(lock) end
  local over = lock_of(value)
  if over then remove_lock(over) end
  if token > last_token then
    last_token = token
    redis.call("HSET", meta_key, "token", text(token))
  end
  local told = sent_at + NOW - REAL + ttl
  add_lock({value = value, token = token, shared = shared, ends_at = NOW + ttl, ttl = ttl, told = told, owner = owner,
    resource = resource})
  return told
end

local replies = {}
speaks(owner)
for i = 1, (#ARGV - 2) / 5 do replies[i] = assert_one(5 * i - 2) end
offer_all()
return replies

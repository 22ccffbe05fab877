-- Takes locks, each on its own, or waits for them.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV for each: resource, value, ttl (ms), 1: shared, wait (ms, 0: none), process, id of the call, when it was sent by
--      the process's clock
-- Reply for each: {1, {token, end by the process's clock}}, or {0}: it is taken

local STRIDE = 8

if not open_mutex() then return UNOPENED end
settle_time()

local function acquire(at)
  local resource, value, ttl, shared = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3] == "1"
  local wait_ms, owner, id, sent_at = tonumber(ARGV[at + 4]), ARGV[at + 5], ARGV[at + 6], tonumber(ARGV[at + 7])
  -- Sent again after a lost reply, it finds what it took.
  local own = lock_of(value)
  if own and own.resource == resource and own.ends_at > NOW then return {1, {own.token, own.told}} end
  local taken = is_taken(resource, shared)
  if not taken then
    local first = first_in_line(resource)
    if first and first.id ~= id then
      taken = true
      touch(resource)
    end
  end
  if taken then
    if wait_ms > 0 then join_line(id, resource, shared, owner, value, wait_ms) else leave_line(id) end
    return {0}
  end
  local token = next_token()
  if not token then return {err = "TL CAPACITY token " .. text(LAST_TOKEN)} end
  leave_line(id)
  -- What it held under this name is over.
  own = own and lock_of(value)
  if own then remove_lock(own) end
  take_token(token)
  remember(resource, shared)
  local told = sent_at + NOW - REAL + ttl
  add_lock({value = value, token = token, shared = shared, ends_at = NOW + ttl, ttl = ttl, told = told, owner = owner,
    resource = resource})
  return {1, {token, told}}
end

local replies = {}
speaks(ARGV[6])
local token_before = last_token
for i = 1, #ARGV / STRIDE do replies[i] = acquire((i - 1) * STRIDE + 1) end
if last_token ~= token_before then redis.call("HSET", meta_key, "token", text(last_token)) end
if remembers then redis.call("PEXPIRE", recent_key, LATE_MS) end
offer_all()
return replies

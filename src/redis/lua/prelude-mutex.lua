-- A mutex on Redis.
--
--   locks      hash   value → "token shared endsAt ttlMs told owner\n" resource; `told`: its end by its holder's clock
--   holders    zset   by text (resource, token, value): who holds a resource, in order
--   resources  hash   resource → how many hold it
--   ends       zset   value by the end of its ttl
--   owned      zset   by text (process, value)
--   line       zset   by text (resource, number, mode, id, process, value): calls that wait for a resource, in order
--   tickets    hash   id of a call → its member of `line`
--   waiters    zset   id of a call by the end of its wait
--   offers     zset   resource by the end of the time (REAL) that the first in its line has to take it
--   offered    hash   resource → id of that call
--   silent     zset   process that let an offer pass, by the last end of its waits: until it speaks, it is passed over
--   recent     hash   resource → "1": was held shared, "0": exclusively. Kept for a minute after the first grant
--
-- meta: `token`, the last that was given or told; `ownFrom`, the first that was given since the data is there;
-- `lateUntil` (REAL), until when locks of lost data are taken over.

local OFFER_MS = 1000
local LATE_MS = 60000
local RECENT_AT_MOST = 1000
local SWEEP = 100
local LAST_TOKEN = 9007199254740991
-- A clock that is wrong by decades must not use up the tokens.
local LATEST_CLOCK = 2 ^ 52

local last_token, own_from, late_until
-- The time in microseconds, once it was asked for; how long `line` is; whether `recent` was written.
local clock, line_length, remembers
-- Resources whose holders or line have changed: offer_all looks at them at the end of the script.
local touched, touched_list = {}, {}

local function open_mutex()
  local s = open("token", "ownFrom", "lateUntil")
  if not s then return false end
  last_token, own_from, late_until = tonumber(s[1]) or 0, tonumber(s[2]) or math.huge, tonumber(s[3]) or math.huge
  return true
end

local function touch(resource)
  if touched[resource] then return end
  touched[resource] = true
  touched_list[#touched_list + 1] = resource
end

-- Members of a set by text begin with this; the second makes the end of the range.
local function prefix_of(resource) return #resource .. ":" .. resource .. ":" end
local function range_end(prefix) return "(" .. string.sub(prefix, 1, -2) .. ";" end

local function number_member(number) return string.format("%016d", number) end

-- --- Locks ---------------------------------------------------------------------------------------------------------

-- {value, token, shared, ends_at, ttl, told, owner, resource}, or nil
local function lock_of(value)
  local stored = redis.call("HGET", locks_key, value)
  if not stored then return nil end
  local token, shared, ends_at, ttl, told, owner, at = string.match(stored, "^(%d+) (%d) (%d+) (%d+) (%d+) (%S+)\n()")
  return {value = value, token = tonumber(token), shared = shared == "1", ends_at = tonumber(ends_at),
    ttl = tonumber(ttl), told = tonumber(told), owner = owner, resource = string.sub(stored, at)}
end

local function put_lock(lock)
  redis.call("HSET", locks_key, lock.value, text(lock.token) .. " " .. (lock.shared and 1 or 0) .. " " .. text(lock.ends_at)
    .. " " .. text(lock.ttl) .. " " .. text(lock.told) .. " " .. lock.owner .. "\n" .. lock.resource)
  redis.call("ZADD", ends_key, text(lock.ends_at), lock.value)
  due_at(lock.ends_at)
end

local function holder_member(lock) return prefix_of(lock.resource) .. number_member(lock.token) .. lock.value end

local function add_lock(lock)
  put_lock(lock)
  redis.call("ZADD", holders_key, 0, holder_member(lock))
  redis.call("ZADD", owned_key, 0, lock.owner .. " " .. lock.value)
  redis.call("HINCRBY", resources_key, lock.resource, 1)
  touch(lock.resource)
end

local function remove_lock(lock)
  redis.call("HDEL", locks_key, lock.value)
  redis.call("ZREM", ends_key, lock.value)
  redis.call("ZREM", holders_key, holder_member(lock))
  redis.call("ZREM", owned_key, lock.owner .. " " .. lock.value)
  if redis.call("HINCRBY", resources_key, lock.resource, -1) <= 0 then redis.call("HDEL", resources_key, lock.resource) end
  touch(lock.resource)
end

-- The lock if it is still held, on this resource.
local function held(resource, value)
  local lock = lock_of(value)
  if lock and lock.resource == resource and lock.ends_at > NOW then return lock end
  return nil
end

local function holders_of(resource)
  local prefix, locks = prefix_of(resource), {}
  for _, member in ipairs(redis.call("ZRANGEBYLEX", holders_key, "[" .. prefix, range_end(prefix))) do
    local lock = lock_of(string.sub(member, #prefix + 17))
    if lock.ends_at > NOW then locks[#locks + 1] = lock end
  end
  return locks
end

-- The first of those that hold it, all in one mode; those before it are over, and go.
local function first_holder(resource)
  local prefix = prefix_of(resource)
  while true do
    local first = redis.call("ZRANGEBYLEX", holders_key, "[" .. prefix, range_end(prefix), "LIMIT", 0, 1)[1]
    if not first then return nil end
    local lock = lock_of(string.sub(first, #prefix + 17))
    if lock.ends_at > NOW then return lock end
    remove_lock(lock)
  end
end

local function excludes(a_shared, b_shared) return not (a_shared and b_shared) end

-- A clock that stepped back would make locks last longer than their ttl.
local function curb(resource, first)
  if first.ends_at <= NOW + first.ttl then return end
  for _, lock in ipairs(holders_of(resource)) do
    if lock.ends_at > NOW + lock.ttl then
      lock.ends_at = NOW + lock.ttl
      put_lock(lock)
    end
  end
end

-- Whether somebody holds it who excludes this mode.
local function is_taken(resource, shared)
  local first = first_holder(resource)
  if not first or not excludes(first.shared, shared) then return false end
  curb(resource, first)
  return true
end

-- Above all that were given or told, and above the clock, so that it does not go back when these are lost. The clock is
-- the server's, also in tests. nil: there is none left.
local function next_token()
  if not clock then
    local time = redis.call("TIME")
    clock = math.min(time[1] * 1000000 + time[2], LATEST_CLOCK)
  end
  local token = math.max(last_token + 1, clock)
  if token > LAST_TOKEN then return nil end
  return token
end

local function take_token(token)
  last_token = token
  if own_from < math.huge then return end
  own_from, late_until = token, REAL + LATE_MS
  redis.call("HSET", meta_key, "ownFrom", text(token), "lateUntil", text(late_until))
end

-- So that a lock of lost data that is told only now does not come back after one that was granted and is over.
local function remember(resource, shared)
  if late_until <= REAL then return end
  if redis.call("HGET", recent_key, resource) == "0" then return end
  if redis.call("HLEN", recent_key) >= RECENT_AT_MOST then
    late_until = 0
    redis.call("HSET", meta_key, "lateUntil", 0)
    redis.call("DEL", recent_key)
    return
  end
  redis.call("HSET", recent_key, resource, shared and 1 or 0)
  remembers = true
end

-- --- Standing in line ----------------------------------------------------------------------------------------------

-- {resource, id, owner, value, shared}
local function ticket_of(member)
  local length, at = string.match(member, "^(%d+):()")
  local resource = string.sub(member, at, at + length - 1)
  local mode, id, owner, value = string.match(member, "^(%a)(%S+) (%S+) (.*)$", at + length + 17)
  return {resource = resource, id = id, owner = owner, value = value, shared = mode == "s"}
end

local function nobody_waits()
  line_length = line_length or redis.call("ZCARD", line_key)
  return line_length == 0
end

local function join_line(id, resource, shared, owner, value, wait_ms)
  if redis.call("HEXISTS", tickets_key, id) == 0 then
    local member = prefix_of(resource) .. number_member(take_numbers(1)) .. (shared and "s" or "x") .. id .. " " .. owner
      .. " " .. value
    redis.call("HSET", tickets_key, id, member)
    redis.call("ZADD", line_key, 0, member)
    line_length = nil
  end
  redis.call("ZADD", waiters_key, text(NOW + wait_ms), id)
  due_at(NOW + wait_ms)
end

local function leave_line(id)
  if nobody_waits() then return end
  local member = redis.call("HGET", tickets_key, id)
  if not member then return end
  redis.call("HDEL", tickets_key, id)
  redis.call("ZREM", line_key, member)
  line_length = nil
  redis.call("ZREM", waiters_key, id)
  touch(ticket_of(member).resource)
end

local silence = {}
local function is_silent(owner)
  if silence[owner] == nil then
    local until_at = redis.call("ZSCORE", silent_key, owner)
    silence[owner] = until_at and tonumber(until_at) > NOW or false
  end
  return silence[owner]
end

-- The process that asks lives: it is not late.
local speaker
local function speaks(owner)
  speaker = owner
  if redis.call("ZREM", silent_key, owner) == 1 then silence[owner] = false end
end

-- Calls `see` with the calls that wait for a resource, in order, until it returns something.
local function walk_line(resource, see)
  local prefix = prefix_of(resource)
  local from = "[" .. prefix
  while true do
    local page = redis.call("ZRANGEBYLEX", line_key, from, range_end(prefix), "LIMIT", 0, 50)
    for _, member in ipairs(page) do
      local found = see(ticket_of(member))
      if found then return found end
    end
    if #page < 50 then return nil end
    from = "(" .. page[50]
  end
end

-- It let an offer pass: nobody waits for it any more, until it speaks or all of its waits here are over.
local function pass_over(owner, resource)
  local until_at = NOW
  walk_line(resource, function(ticket)
    if ticket.owner == owner then
      until_at = math.max(until_at, tonumber(redis.call("ZSCORE", waiters_key, ticket.id) or 0))
    end
  end)
  redis.call("ZADD", silent_key, "GT", text(until_at), owner)
  silence[owner] = true
end

-- Whose turn it is, of those that wait.
local function first_in_line(resource)
  if nobody_waits() then return nil end
  local offered = redis.call("HGET", offered_key, resource)
  local lapsed = offered and tonumber(redis.call("ZSCORE", offers_key, resource) or 0) <= REAL
  return walk_line(resource, function(ticket)
    if is_silent(ticket.owner) then return nil end
    if lapsed and ticket.id == offered and ticket.owner ~= speaker then
      pass_over(ticket.owner, resource)
      return nil
    end
    return ticket
  end)
end

-- The call whose turn it is, and those behind it that may come along. Its lane is the lock that it wants.
local function tell_first(first)
  local values = {}
  walk_line(first.resource, function(ticket)
    if not is_silent(ticket.owner) then
      if ticket.shared ~= first.shared or #values >= (first.shared and 50 or 1) then return true end
      values[#values + 1] = ticket.value
    end
  end)
  redis.call("PUBLISH", meta_key, "wake " .. table.concat(values, " "))
end

local function offer(resource)
  local first = first_in_line(resource)
  if not first or is_taken(resource, first.shared) then
    if redis.call("ZREM", offers_key, resource) == 1 then redis.call("HDEL", offered_key, resource) end
    return
  end
  if redis.call("HGET", offered_key, resource) == first.id then
    local ends_at = tonumber(redis.call("ZSCORE", offers_key, resource))
    -- Beyond that the server's clock stepped back.
    if ends_at > REAL and ends_at <= REAL + OFFER_MS then return end
  end
  redis.call("HSET", offered_key, resource, first.id)
  redis.call("ZADD", offers_key, text(REAL + OFFER_MS), resource)
  due_at(NOW + OFFER_MS)
  tell_first(first)
end

-- At the end of every script that changed something.
local function offer_all()
  if #touched_list == 0 then return end
  if nobody_waits() then
    redis.call("DEL", offers_key, offered_key, silent_key)
  else
    local i = 1
    while touched_list[i] do
      offer(touched_list[i])
      i = i + 1
    end
  end
  touched, touched_list = {}, {}
end

-- --- What time brings ----------------------------------------------------------------------------------------------

-- A batch of what is due. Whether there is more.
local function sweep()
  local over, waited = overdue(ends_key, SWEEP), overdue(waiters_key, SWEEP)
  local lapsed = redis.call("ZRANGEBYSCORE", offers_key, "-inf", text(REAL), "LIMIT", 0, SWEEP)
  for _, value in ipairs(over) do
    local lock = lock_of(value)
    if lock then remove_lock(lock) else redis.call("ZREM", ends_key, value) end
  end
  for _, id in ipairs(waited) do
    leave_line(id)
    redis.call("ZREM", waiters_key, id)
  end
  for _, resource in ipairs(lapsed) do touch(resource) end
  offer_all()
  redis.call("ZREMRANGEBYSCORE", silent_key, "-inf", text(NOW))
  set_due(math.min(first_score(ends_key), first_score(waiters_key), first_score(offers_key) + NOW - REAL))
  return #over == SWEEP or #waited == SWEEP or #lapsed == SWEEP
end

local function settle_time()
  if DUE <= NOW then sweep() end
end

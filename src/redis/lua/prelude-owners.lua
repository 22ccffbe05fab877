-- Processes that hold something, by the ends of their leases: each renews its own while it lives (instance-renew.lua).
-- Needs: owners, held.

local OWNER_LEASE_MS = 10000

local function hold(owner, count)
  redis.call("ZADD", owners_key, text(REAL + OWNER_LEASE_MS), owner)
  redis.call("HINCRBY", held_key, owner, count)
  due_at(NOW + OWNER_LEASE_MS)
end

local function let_go(owner, count)
  if redis.call("HINCRBY", held_key, owner, -count) > 0 then return end
  redis.call("HDEL", held_key, owner)
  redis.call("ZREM", owners_key, owner)
end

-- Whether the process is known to live.
local function is_alive(owner)
  local until_at = redis.call("ZSCORE", owners_key, owner)
  return until_at and tonumber(until_at) > REAL
end

-- Processes whose leases are over, at most so many.
local function dead_owners(limit)
  return redis.call("ZRANGEBYSCORE", owners_key, "-inf", text(REAL), "LIMIT", 0, limit)
end

-- When the next lease is over, on the clock that tests may move.
local function next_death()
  return first_score(owners_key) + NOW - REAL
end

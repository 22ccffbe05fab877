-- Calls that wait, by the ends of their waits. Needs: waiters.

local function park(id, wait_ms)
  -- A server without memory refuses a script that begins by adding.
  redis.call("ZREM", waiters_key, id)
  redis.call("ZADD", waiters_key, text(NOW + wait_ms), id)
end

local function unpark(id)
  redis.call("ZREM", waiters_key, id)
end

-- Something came that a waiter may have.
local function wake()
  if redis.call("ZCARD", waiters_key) > 0 then redis.call("PUBLISH", meta_key, "wake") end
end

local function waiting()
  redis.call("ZREMRANGEBYSCORE", waiters_key, "-inf", "(" .. text(NOW))
  return redis.call("ZCARD", waiters_key)
end

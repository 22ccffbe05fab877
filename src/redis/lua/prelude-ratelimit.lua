-- A rate limit on Redis.
--
--   counters  hash   identifier → "window level previous at": numbers, to the last bit
--   ends      zset   identifier by the time when its counter is forgotten
--
-- Sums are kept as calls × milliseconds of the window: whole numbers as long as the limit is one, so that nothing is
-- rounded. A counter is forgotten when the window after its last change is over. A window ahead of the clock, which
-- stepped back, counts as the next one, just begun; a bucket drains from the new time on. A counter that cannot be read
-- counts as full.

local FORGET = 10
-- Keys outlive their last counter by this: by then the clocks that tests move are the only ones that could differ.
local SPARE_MS = 60000

local limit, limit_text, window_ms, is_bucket

local function open_ratelimit()
  local s = open("limit", "windowMs", "algorithm")
  if not s then return false end
  limit, limit_text, window_ms, is_bucket = tonumber(s[1]), s[1], tonumber(s[2]), s[3] == "token-bucket"
  return true
end

-- Any number as text that gives the same number again.
local function exact(number) return string.format("%.17g", number) end

local UNREADABLE = {window = math.huge, level = math.huge, previous = math.huge, at = math.huge}

-- {window, level, previous, at}, or nil
local function counter_of(identifier)
  local stored = redis.call("HGET", counters_key, identifier)
  if not stored then return nil end
  local window, level, previous, at = string.match(stored, "^(%S+) (%S+) (%S+) (%S+)$")
  local counter = {window = tonumber(window), level = tonumber(level), previous = tonumber(previous), at = tonumber(at)}
  for _, part in ipairs({"window", "level", "previous", "at"}) do
    if not counter[part] or not (counter[part] >= 0) then return UNREADABLE end
  end
  return counter
end

local function forget(identifier)
  redis.call("HDEL", counters_key, identifier)
  redis.call("ZREM", ends_key, identifier)
end

local function put_counter(identifier, counter)
  redis.call("HSET", counters_key, identifier,
    exact(counter.window) .. " " .. exact(counter.level) .. " " .. exact(counter.previous) .. " " .. exact(counter.at))
  local ends_at = (counter.window + 2) * window_ms
  local last = redis.call("ZRANGE", ends_key, -1, -1, "WITHSCORES")[2]
  redis.call("ZADD", ends_key, exact(ends_at), identifier)
  -- With nobody to come any more, everything goes at once.
  if not last or tonumber(last) < ends_at then
    local left = text(ends_at - NOW + SPARE_MS)
    redis.call("PEXPIRE", counters_key, left)
    redis.call("PEXPIRE", ends_key, left)
  end
end

-- As many as come with one call, and a few more.
local function forget_some(count)
  for _, identifier in ipairs(overdue(ends_key, count + FORGET)) do forget(identifier) end
end

-- limited, remaining, milliseconds until it is otherwise, and the counter after it if it changed
local function count_calls(counter, cost)
  local current = math.floor(NOW / window_ms)
  local passed = NOW - current * window_ms
  local window, fading, level, previous = current, window_ms - passed, cost, 0
  if counter then
    if counter.window > current then
      window = math.min(counter.window, current + 1)
      fading = window_ms
    end
    if counter.window >= current then
      level, previous = level + counter.level, counter.previous
    elseif counter.window == current - 1 then previous = counter.level end
  end
  local left = limit * window_ms - (previous * fading + level * window_ms)
  -- So that a sum that is no number is limited.
  local limited = not (left >= 0)
  return limited, limited and 0 or math.floor(left / window_ms), window_ms - passed,
    cost > 0 and {window = window, level = level, previous = previous, at = 0} or nil
end

local function take_tokens(counter, cost)
  local full = limit * window_ms
  local level = 0
  if counter then level = math.max(0, math.min(counter.level, full) - math.max(0, NOW - counter.at) * limit) end
  local limited = not (level + cost * window_ms <= full)
  if not limited then level = level + cost * window_ms end
  -- To look costs nothing; what is of interest then is when a call would pass.
  local wanted = math.min((cost == 0 and 1 or cost) * window_ms, full)
  local changes = cost > 0 and (not limited or (counter and counter.at > NOW))
  return limited, math.floor((full - level) / window_ms), math.max(0, math.ceil((level + wanted - full) / limit)),
    changes and {window = math.floor(NOW / window_ms), level = level, previous = 0, at = NOW} or nil
end

local function look(identifier, cost)
  local counter = counter_of(identifier)
  if is_bucket then return take_tokens(counter, cost) end
  return count_calls(counter, cost)
end

local function reply_of(limited, remaining, reset_in) return {limited and 1 or 0, exact(remaining), exact(reset_in)} end

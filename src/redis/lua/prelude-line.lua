-- Who is next of those that wait: by priority and order; of one ordering key one at a time, in order of sequence.
--
--   ready    zset   name by (level, order): could be next now
--   lanes    zset   every waiting one that has a key, by (key, sequence); its first stands in `ready`
--   blocked  hash   key → name of the one that holds it
--
-- Needs: ready, lanes, blocked; before it DEFAULT_PRIORITY, and line_item(name): {seq, priority, order, key} of what is
-- written.

local LEVEL = 2 ^ 49
local RISE_MS = 30000

-- One without a key, with the default priority.
local function plain_place(order) return DEFAULT_PRIORITY * LEVEL + order end

local function lane_prefix(key) return #key .. ":" .. key .. ":" end

local function lane_member(key, seq, name) return lane_prefix(key) .. string.format("%016d", seq) .. name end

local function lane_name(member)
  local length, at = string.match(member, "^(%d+):()")
  return string.sub(member, at + length + 17)
end

local function lane_first(key)
  local prefix = lane_prefix(key)
  local first = redis.call("ZRANGEBYLEX", lanes_key, "[" .. prefix, "(" .. string.sub(prefix, 1, -2) .. ";", "LIMIT", 0, 1)
  return first[1] and lane_name(first[1])
end

local function stand(name, item)
  redis.call("ZADD", ready_key, text(item.priority * LEVEL + item.order), name)
end

-- Who stands in line on behalf of a key.
local function offered(key)
  if redis.call("HEXISTS", blocked_key, key) == 1 then return false end
  return lane_first(key) or false
end

local function offer(key, before)
  local first = offered(key)
  if first == before then return end
  if before then redis.call("ZREM", ready_key, before) end
  if first then stand(first, line_item(first)) end
end

-- SELDOM
local function lane_move(name, item, was, is)
  local key = item.key
  local before = offered(key)
  if was == "line" then
    if before == name then
      redis.call("ZREM", ready_key, name)
      before = false
    end
    redis.call("ZREM", lanes_key, lane_member(key, item.seq, name))
  elseif was == "holds" and redis.call("HGET", blocked_key, key) == name then
    redis.call("HDEL", blocked_key, key)
  end
  if is == "line" then redis.call("ZADD", lanes_key, 0, lane_member(key, item.seq, name))
  elseif is == "holds" then redis.call("HSET", blocked_key, key, name) end
  offer(key, before)
end

-- Moves one that is written already. `was`, `is`: "line": it waits, "holds": its key is its own, false: neither.
local function line_move(name, item, was, is)
  if item.key then lane_move(name, item, was, is)
  elseif is == "line" then stand(name, item)
  elseif was == "line" then redis.call("ZREM", ready_key, name) end
end

-- One that has a key and was taken out of `ready` is claimed: its key is its own.
-- SELDOM
local function hold_lane(name, item)
  redis.call("ZREM", lanes_key, lane_member(item.key, item.seq, name))
  redis.call("HSET", blocked_key, item.key, name)
end

-- Of each level its front, which has waited longest of it, and so has risen most.
-- SELDOM
local function first_of_levels(waits_since)
  local best, best_level, best_order
  local from = 0
  while from < 10 * LEVEL do
    local front = redis.call("ZRANGEBYSCORE", ready_key, text(from), "+inf", "WITHSCORES", "LIMIT", 0, 1)
    if not front[1] then break end
    local level = math.floor(tonumber(front[2]) / LEVEL)
    local order = tonumber(front[2]) - level * LEVEL
    local risen = math.max(0, math.floor((NOW - waits_since(front[1])) / RISE_MS))
    local effective = math.max(0, level - risen)
    if not best or effective < best_level or (effective == best_level and order < best_order) then
      best, best_level, best_order = front[1], effective, order
    end
    from = (level + 1) * LEVEL
  end
  return best
end

-- Up to `count` that are next, taken out of `ready`. Without `levels` all have one priority. `waits_since(name)`: when
-- it began to wait: each 30 s it rises by a level.
local function take_ready(count, levels, waits_since)
  if count <= 0 then return {} end
  if not levels then
    -- Not ZPOPMIN, which writes out every score.
    local taken = redis.call("ZRANGE", ready_key, 0, count - 1)
    if #taken > 0 then redis.call("ZREMRANGEBYRANK", ready_key, 0, #taken - 1) end
    return taken
  end
  local taken = {}
  while #taken < count do
    local best = first_of_levels(waits_since)
    if not best then break end
    redis.call("ZREM", ready_key, best)
    taken[#taken + 1] = best
  end
  return taken
end

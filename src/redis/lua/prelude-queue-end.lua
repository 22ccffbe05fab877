-- What becomes of messages, and what time brings. Needs: prelude-queue.lua, prelude-line.lua and their keys.

-- Its key, if it holds it, may have its next one.
local function unblock(seq, record)
  if keyed and record.key then line_move(seq, {key = record.key}, "holds", false) end
end

local function end_delivery(d)
  redis.call("HDEL", deliveries_key, d.id)
  redis.call("ZREM", leases_key, d.id)
end

local function forget_message(seq)
  redis.call("HDEL", messages_key, seq)
  redis.call("HDEL", states_key, seq)
end

local function forget_old_dead()
  local retention = setting("dlqRetentionMs")
  while true do
    local oldest = redis.call("ZRANGE", deadOrder_key, 0, 0)[1]
    if not oldest then return NEVER end
    local moved_at = string.match(redis.call("HGET", dead_key, oldest), "^%d+ %d+ (%d+)")
    local ends_at = tonumber(moved_at) + retention
    if ends_at > NOW then return ends_at end
    redis.call("ZREM", deadOrder_key, oldest)
    redis.call("HDEL", dead_key, oldest)
  end
end

-- Writes a dead letter for a message that has left its place; false when there is no room.
-- SELDOM
local function bury(seq, record_text, id, attempts, reason, error)
  forget_old_dead()
  if redis.call("ZCARD", deadOrder_key) >= setting("maxDead") then return false end
  local n = take_numbers(1)
  redis.call("HSET", dead_key, id, text(n) .. " " .. attempts .. " " .. text(NOW) .. " " .. #reason .. " " .. #error
    .. "\n" .. reason .. error .. record_text)
  redis.call("ZADD", deadOrder_key, n, id)
  forget_message(seq)
  due_at(NOW + setting("dlqRetentionMs"))
  return true
end

-- Back in line: `order` its old place, or nil for the back.
local function put_back(seq, record, attempts, error, order, ready_at)
  local state = {attempts = attempts, order = order or take_numbers(1), ready_at = ready_at or NOW, retry = false, error = error}
  put_state(seq, state)
  line_move(seq, line_item(seq, record, state), "holds", "line")
  wake()
end

local function give_back(d, attempts)
  end_delivery(d)
  put_back(d.seq, message(d.seq), attempts, d.error, d.order, d.ready_at)
end

local function expire_lease(d)
  local record_text = redis.call("HGET", messages_key, d.seq)
  local record = read_record(record_text)
  end_delivery(d)
  if d.attempts >= setting("maxDeliveries")
    and bury(d.seq, record_text, record.id, d.attempts, "max_deliveries_exceeded", d.error) then
    unblock(d.seq, record)
    return wake()
  end
  put_back(d.seq, record, d.attempts, d.error)
end

-- Ends leases, in the order in which they are over. Returns whether there are more.
local function end_leases()
  local over = {}
  for _, id in ipairs(overdue(leases_key, SWEEP)) do
    over[#over + 1] = read_delivery(id, redis.call("HGET", deliveries_key, id))
  end
  table.sort(over, function(a, b)
    if a.until_at ~= b.until_at then return a.until_at < b.until_at end
    return a.order < b.order
  end)
  for _, d in ipairs(over) do expire_lease(d) end
  return #over == SWEEP
end

-- The oldest at the front of each level: what nobody asks for dies of age, too. Returns when the next does, and whether
-- there are more.
local function bury_old()
  local max_age, max_dead = setting("maxMessageAgeMs"), setting("maxDead")
  local age_due = NEVER
  local full = redis.call("ZCARD", deadOrder_key) >= max_dead
  local from, buried = 0, 0
  while from < 10 * LEVEL do
    local front = redis.call("ZRANGEBYSCORE", ready_key, text(from), "+inf", "WITHSCORES", "LIMIT", 0, 1)
    if not front[1] then break end
    local seq = front[1]
    local record_text = redis.call("HGET", messages_key, seq)
    local record = read_record(record_text)
    if NOW - record.age_from > max_age and not full then
      if buried == SWEEP then return age_due, true end
      local state = state_of(seq, record.age_from)
      line_move(seq, line_item(seq, record, state), "line", false)
      bury(seq, record_text, record.id, state.attempts, "expired", state.error)
      buried = buried + 1
      full = redis.call("ZCARD", deadOrder_key) >= max_dead
    else
      if not full then age_due = math.min(age_due, record.age_from + max_age + 1) end
      from = (math.floor(tonumber(front[2]) / LEVEL) + 1) * LEVEL
    end
  end
  return age_due, false
end

-- Does what time has brought, a batch of it. Returns whether there is more.
-- SELDOM
local function sweep()
  for _, key in ipairs(overdue(idKeysByEnd_key, SWEEP)) do
    redis.call("HDEL", idKeys_key, key)
    redis.call("ZREM", idKeysByEnd_key, key)
  end
  local due = overdue(delayed_key, SWEEP)
  for _, member in ipairs(due) do
    local seq = text(tonumber(member))
    local record = message(seq)
    local state = state_of(seq, record.age_from)
    redis.call("ZREM", delayed_key, member)
    put_back(seq, record, state.attempts, state.error)
  end
  local more_leases = end_leases()
  forget_old_dead()
  local age_due, more_old = bury_old()
  local dead_due = forget_old_dead()
  local more = #due == SWEEP or more_leases or more_old
  set_due(more and NOW or math.min(first_score(delayed_key), first_score(leases_key), first_score(idKeysByEnd_key), dead_due, age_due))
  return more
end

-- In front of commands that look at places: what is due has happened, or, of very much, a good part.
local function settle_time()
  for _ = 1, 10 do
    if DUE > NOW or not sweep() then return end
  end
end

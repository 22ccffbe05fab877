-- A queue on Redis.
--
--   messages    hash   seq → record, which never changes: "ageFrom id\n" data; or, of a message with a priority, a key or
--                      meta: "ageFrom id priority keyBytes keyLength metaLength\n" key meta data. What follows "ageFrom "
--                      is made, and read again, by the process (queue.ts), which counts lengths in UTF-16 (-1: none)
--   states      hash   seq → "attempts order readyAt retry\n" error: where it differs from what was sent
--   ready       zset   seq by (level, order): may be claimed now
--   delayed     zset   padded seq by due time
--   leases      zset   delivery id by the end of its lease
--   deliveries  hash   delivery id → "untilAt seq attempts order readyAt leaseMs owner\n" error
--   lanes       zset   partitioned: every waiting message with a key, by (key, seq); its first stands in `ready`
--   blocked     hash   partitioned: key → seq of its message that is claimed, or that waits for a retry
--   dead        hash   id → "n attempts movedAt reasonLength errorLength\n" reason error record
--   deadOrder   zset   id by n
--   idKeys      hash   idempotency key → "untilAt id";  idKeysByEnd  zset

local LEVEL = 2 ^ 49
local RISE_MS = 30000
local SWEEP = 100
local DEFAULT_PRIORITY = 5

-- Whether messages of one ordering key go one at a time.
local keyed = false

-- Opens the instance; the settings that are asked for are in the list from [2] on.
local function open_queue(...)
  local found = open("keyed", ...)
  keyed = found and found[1] == "1"
  return found
end

local function setting(name) return tonumber(redis.call("HGET", meta_key, name)) end

local function seq_member(seq) return string.format("%016.0f", seq) end

-- {id, age_from, priority, key or nil}
local function read_record(record)
  local age_from, id, more, at = string.match(record, "^(%d+) (%S+)([^\n]*)\n()")
  local read = {id = id, age_from = tonumber(age_from), priority = DEFAULT_PRIORITY}
  if more ~= "" then
    local priority, key_bytes = string.match(more, "^ (%d) (%-?%d+)")
    read.priority = tonumber(priority)
    if key_bytes ~= "-1" then read.key = string.sub(record, at, at + tonumber(key_bytes) - 1) end
  end
  return read
end

local function aged_from(record, age_from) return text(age_from) .. string.match(record, "^%d+(.*)$") end

local function message(seq) return read_record(redis.call("HGET", messages_key, seq)) end

local function read_state(state)
  local attempts, order, ready_at, retry, at = string.match(state, "^(%d+) (%d+) (%d+) (%d)\n()")
  return {attempts = tonumber(attempts), order = tonumber(order), ready_at = tonumber(ready_at), retry = retry == "1",
    error = string.sub(state, at)}
end

-- {attempts, order, ready_at, retry, error}: where a message stands that is not leased.
local function state_of(seq, age_from)
  local state = redis.call("HGET", states_key, seq)
  if state then return read_state(state) end
  return {attempts = 0, order = tonumber(seq), ready_at = age_from, retry = false, error = ""}
end

local function put_state(seq, s)
  redis.call("HSET", states_key, seq, s.attempts .. " " .. text(s.order) .. " " .. text(s.ready_at) .. " "
    .. (s.retry and 1 or 0) .. "\n" .. s.error)
end

-- {seq, attempts, order, ready_at, until_at, lease_ms, owner, error}
local function read_delivery(id, held)
  local until_at, seq, attempts, order, ready_at, lease_ms, owner, at =
    string.match(held, "^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+)\n()")
  return {id = id, seq = seq, attempts = tonumber(attempts), order = tonumber(order), ready_at = tonumber(ready_at),
    until_at = tonumber(until_at), lease_ms = tonumber(lease_ms), owner = owner, error = string.sub(held, at)}
end

local function delivery_text(d)
  return text(d.until_at) .. " " .. d.seq .. " " .. d.attempts .. " " .. text(d.order) .. " " .. text(d.ready_at) .. " "
    .. text(d.lease_ms) .. " " .. d.owner .. "\n" .. d.error
end

-- The delivery if it is still its holder's.
local function held(id)
  local found = redis.call("HGET", deliveries_key, id)
  local d = found and read_delivery(id, found)
  if d and d.until_at > NOW then return d end
  return nil
end

-- --- Standing in line ----------------------------------------------------------------------------------------------

local function lane_prefix(key) return #key .. ":" .. key .. ":" end

local function lane_first(key)
  local prefix = lane_prefix(key)
  local first = redis.call("ZRANGEBYLEX", lanes_key, "[" .. prefix, "(" .. string.sub(prefix, 1, -2) .. ";", "LIMIT", 0, 1)
  return first[1] and text(tonumber(string.sub(first[1], -16)))
end

local function stand(seq, record, state)
  redis.call("ZADD", ready_key, text(record.priority * LEVEL + state.order), seq)
end

-- The first of a key stands in line on behalf of it, unless one of the key is under way.
-- SELDOM
local function offer(key, before)
  local first = lane_first(key)
  if redis.call("HEXISTS", blocked_key, key) == 1 then first = false end
  if first == before then return end
  if before then redis.call("ZREM", ready_key, before) end
  if first then
    local record = message(first)
    stand(first, record, state_of(first, record.age_from))
  end
end

-- SELDOM
local function offered(key)
  if redis.call("HEXISTS", blocked_key, key) == 1 then return false end
  return lane_first(key) or false
end

-- SELDOM
local function enter_lane(seq, key)
  local before = offered(key)
  redis.call("ZADD", lanes_key, 0, lane_prefix(key) .. seq_member(seq))
  offer(key, before)
end

local function enter(seq, record, state)
  if keyed and record.key then enter_lane(seq, record.key)
  else stand(seq, record, state) end
end

local function leave(seq, record)
  redis.call("ZREM", ready_key, seq)
  if keyed and record.key then
    local before = offered(record.key)
    if before == seq then before = false end
    redis.call("ZREM", lanes_key, lane_prefix(record.key) .. seq_member(seq))
    offer(record.key, before)
  end
end

-- SELDOM
local function unblock(seq, record)
  if not (keyed and record.key) or redis.call("HGET", blocked_key, record.key) ~= seq then return end
  redis.call("HDEL", blocked_key, record.key)
  offer(record.key, false)
end

-- --- What becomes of messages --------------------------------------------------------------------------------------

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
  if keyed and record.key then
    local before = offered(record.key)
    redis.call("ZADD", lanes_key, 0, lane_prefix(record.key) .. seq_member(seq))
    if redis.call("HGET", blocked_key, record.key) == seq then redis.call("HDEL", blocked_key, record.key) end
    offer(record.key, before)
  else
    stand(seq, record, state)
  end
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
      leave(seq, record)
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

-- --- Sending -------------------------------------------------------------------------------------------------------

local SEND_STRIDE = 3

-- What most messages go without: {delay, priority, ttl of the idempotency key, id, idempotency key or ""}
local function send_options(options)
  local delay, priority, ttl, id, id_key = string.match(options, "^(%d+) (%d) (%d+) (%S+)\n(.*)$")
  return {delay = tonumber(delay), priority = tonumber(priority), ttl = tonumber(ttl), id = id, id_key = id_key}
end

-- The message that the idempotency key names, or nil.
local function known_as(id_key)
  local known = redis.call("HGET", idKeys_key, id_key)
  if not known then return nil end
  local until_at, id = string.match(known, "^(%d+) (.+)$")
  if tonumber(until_at) > NOW then return id end
  return nil
end

local function remember(options)
  local until_at = text(NOW + options.ttl)
  redis.call("HSET", idKeys_key, options.id_key, until_at .. " " .. options.id)
  redis.call("ZADD", idKeysByEnd_key, until_at, options.id_key)
  due_at(NOW + options.ttl)
end

-- One that is delayed, or has a priority, or an ordering key. Returns its place in `ready`, or nil: it is elsewhere.
-- SELDOM
local function place_specially(seq, record, options, levels)
  local name = text(seq)
  local key = keyed and read_record(record).key
  if options.priority ~= DEFAULT_PRIORITY and not levels then redis.call("HSET", meta_key, "levels", 1) end
  if options.delay > 0 then
    redis.call("ZADD", delayed_key, text(NOW + options.delay), seq_member(seq))
    due_at(NOW + options.delay)
  elseif key then
    -- Read by those that stand in line for the key.
    redis.call("HSET", messages_key, name, record)
    enter_lane(name, key)
  else
    return options.priority * LEVEL + seq
  end
  return nil
end

local PLAIN = {delay = 0, priority = DEFAULT_PRIORITY}

-- Messages that were accepted, by where their arguments begin (queue-send.lua), and what send_options found there.
local function enqueue(accepted, options_at, max_age, levels)
  if #accepted == 0 then return end
  local seq = take_numbers(#accepted) - 1
  local now = text(NOW)
  local soonest = NEVER
  local records, places = {}, {}
  for i, at in ipairs(accepted) do
    seq = seq + 1
    local options = options_at[at]
    local age_from = options and text(NOW + options.delay) or now
    local record = age_from .. " " .. ARGV[at]
    local place = DEFAULT_PRIORITY * LEVEL + seq
    if options or keyed then place = place_specially(seq, record, options or PLAIN, levels) end
    records[2 * i - 1], records[2 * i] = seq, record
    if place then
      places[#places + 1] = place
      places[#places + 1] = seq
    end
    soonest = math.min(soonest, options and options.delay or 0)
  end
  for from = 1, #records, 2000 do
    redis.call("HSET", messages_key, unpack(records, from, math.min(from + 1999, #records)))
  end
  for from = 1, #places, 2000 do
    redis.call("ZADD", ready_key, unpack(places, from, math.min(from + 1999, #places)))
  end
  due_at(NOW + soonest + max_age + 1)
  wake()
end

local function read_dead(dead)
  local n, attempts, moved_at, reason_length, error_length, at = string.match(dead, "^(%d+) (%d+) (%d+) (%d+) (%d+)\n()")
  local reason_end = at + tonumber(reason_length)
  local error_end = reason_end + tonumber(error_length)
  return {n = n, attempts = tonumber(attempts), moved_at = tonumber(moved_at), reason = string.sub(dead, at, reason_end - 1),
    error = string.sub(dead, reason_end, error_end - 1), record = string.sub(dead, error_end)}
end

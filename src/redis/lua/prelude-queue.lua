-- A queue on Redis.
--
--   messages    hash   seq → record, which never changes: "id priority ageFrom bytes keyLength metaLength\n" key meta data
--   states      hash   seq → "attempts order readyAt retry\n" error: where it differs from what was sent
--   ready       zset   seq by (level, order): may be claimed now
--   delayed     zset   padded seq by due time
--   leases      zset   delivery id by the end of its lease
--   deliveries  hash   delivery id → "seq attempts order readyAt untilAt leaseMs owner\n" error
--   lanes       zset   partitioned: every waiting message with a key, by (key, seq); its first stands in `ready`
--   blocked     hash   partitioned: key → seq of its message that is claimed, or that waits for a retry
--   dead        hash   id → "n attempts movedAt reasonLength errorLength\n" reason error record
--   deadOrder   zset   id by n
--   idKeys      hash   idempotency key → "untilAt id";  idKeysByEnd  zset

local LEVEL = 2 ^ 49
local RISE_MS = 30000
local SWEEP = 100

local limits = {}

-- Opens the instance and reads its settings, in this order.
local function open_queue()
  local s = open("payloadBytes", "maxMessages", "maxIdempotencyKeys", "maxMessageAgeMs", "maxDeliveries", "maxDead",
    "dlqRetentionMs", "maxNackDelayMs", "defaultLeaseMs", "keyed", "paused", "levels")
  if not s then return false end
  for i = 1, 9 do limits[i] = tonumber(s[i]) end
  limits.payload, limits.messages, limits.keys, limits.age, limits.deliveries = limits[1], limits[2], limits[3], limits[4], limits[5]
  limits.dead, limits.retention, limits.nack, limits.lease = limits[6], limits[7], limits[8], limits[9]
  limits.keyed, limits.paused, limits.levels = s[10] == "1", s[11] == "1", s[12] == "1"
  return true
end

local function seq_member(seq) return string.format("%016.0f", seq) end

-- {id, priority, ageFrom, bytes, key or nil, meta or nil, data}
local function read_record(record)
  local id, priority, age_from, bytes, key_length, meta_length, at =
    string.match(record, "^(%S+) (%d) (%d+) (%d+) (%-?%d+) (%-?%d+)\n()")
  key_length, meta_length = tonumber(key_length), tonumber(meta_length)
  local key, meta
  if key_length >= 0 then
    key = string.sub(record, at, at + key_length - 1)
    at = at + key_length
  end
  if meta_length >= 0 then
    meta = string.sub(record, at, at + meta_length - 1)
    at = at + meta_length
  end
  return {id = id, priority = tonumber(priority), age_from = tonumber(age_from), bytes = tonumber(bytes), key = key,
    meta = meta, data = string.sub(record, at)}
end

local function make_record(id, priority, age_from, bytes, key, meta, data)
  return id .. " " .. priority .. " " .. text(age_from) .. " " .. bytes .. " " .. (key and #key or -1) .. " "
    .. (meta and #meta or -1) .. "\n" .. (key or "") .. (meta or "") .. data
end

local function message(seq) return read_record(redis.call("HGET", messages_key, seq)) end

-- {attempts, order, ready_at, retry, error}: where a message stands that is not leased.
local function state_of(seq, age_from)
  local state = redis.call("HGET", states_key, seq)
  if not state then return {attempts = 0, order = tonumber(seq), ready_at = age_from, retry = false, error = ""} end
  local attempts, order, ready_at, retry, at = string.match(state, "^(%d+) (%d+) (%d+) (%d)\n()")
  return {attempts = tonumber(attempts), order = tonumber(order), ready_at = tonumber(ready_at), retry = retry == "1",
    error = string.sub(state, at)}
end

local function put_state(seq, s)
  redis.call("HSET", states_key, seq, s.attempts .. " " .. text(s.order) .. " " .. text(s.ready_at) .. " "
    .. (s.retry and 1 or 0) .. "\n" .. s.error)
end

-- {seq, attempts, order, ready_at, until_at, lease_ms, owner, error}, or nil
local function delivery(id)
  local held = redis.call("HGET", deliveries_key, id)
  if not held then return nil end
  local seq, attempts, order, ready_at, until_at, lease_ms, owner, at =
    string.match(held, "^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+)\n()")
  return {id = id, seq = seq, attempts = tonumber(attempts), order = tonumber(order), ready_at = tonumber(ready_at),
    until_at = tonumber(until_at), lease_ms = tonumber(lease_ms), owner = owner, error = string.sub(held, at)}
end

local function delivery_text(d)
  return d.seq .. " " .. d.attempts .. " " .. text(d.order) .. " " .. text(d.ready_at) .. " " .. text(d.until_at) .. " "
    .. text(d.lease_ms) .. " " .. d.owner .. "\n" .. d.error
end

-- The delivery if it is still its holder's.
local function held(id)
  local d = delivery(id)
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

local function offered(key)
  if redis.call("HEXISTS", blocked_key, key) == 1 then return false end
  return lane_first(key) or false
end

local function enter(seq, record, state)
  if not (limits.keyed and record.key) then return stand(seq, record, state) end
  local before = offered(record.key)
  redis.call("ZADD", lanes_key, 0, lane_prefix(record.key) .. seq_member(seq))
  offer(record.key, before)
end

local function leave(seq, record)
  redis.call("ZREM", ready_key, seq)
  if limits.keyed and record.key then
    local before = offered(record.key)
    if before == seq then before = false end
    redis.call("ZREM", lanes_key, lane_prefix(record.key) .. seq_member(seq))
    offer(record.key, before)
  end
end

local function block(seq, record)
  if limits.keyed and record.key then redis.call("HSET", blocked_key, record.key, seq) end
end

local function unblock(seq, record)
  if not (limits.keyed and record.key) or redis.call("HGET", blocked_key, record.key) ~= seq then return end
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
  while true do
    local oldest = redis.call("ZRANGE", deadOrder_key, 0, 0)[1]
    if not oldest then return NEVER end
    local moved_at = string.match(redis.call("HGET", dead_key, oldest), "^%d+ %d+ (%d+)")
    local ends_at = tonumber(moved_at) + limits.retention
    if ends_at > NOW then return ends_at end
    redis.call("ZREM", deadOrder_key, oldest)
    redis.call("HDEL", dead_key, oldest)
  end
end

-- Writes a dead letter for a message that has left its place; false when there is no room.
local function bury(seq, record_text, id, attempts, reason, error)
  forget_old_dead()
  if redis.call("ZCARD", deadOrder_key) >= limits.dead then return false end
  local n = take_numbers(1)
  redis.call("HSET", dead_key, id, text(n) .. " " .. attempts .. " " .. text(NOW) .. " " .. #reason .. " " .. #error
    .. "\n" .. reason .. error .. record_text)
  redis.call("ZADD", deadOrder_key, n, id)
  forget_message(seq)
  due_at(NOW + limits.retention)
  return true
end

-- Back in line: `order` its old place, or nil for the back.
local function put_back(seq, record, attempts, error, order, ready_at)
  local state = {attempts = attempts, order = order or take_numbers(1), ready_at = ready_at or NOW, retry = false, error = error}
  put_state(seq, state)
  if limits.keyed and record.key then
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
  if d.attempts >= limits.deliveries and bury(d.seq, record_text, record.id, d.attempts, "max_deliveries_exceeded", d.error) then
    unblock(d.seq, record)
    return wake()
  end
  put_back(d.seq, record, d.attempts, d.error)
end

-- Does what time has brought, a batch of it. Returns whether there is more.
local function sweep()
  local more = false
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
  more = more or #due == SWEEP
  local over = {}
  for _, id in ipairs(overdue(leases_key, SWEEP)) do over[#over + 1] = delivery(id) end
  more = more or #over == SWEEP
  table.sort(over, function(a, b)
    if a.until_at ~= b.until_at then return a.until_at < b.until_at end
    return a.order < b.order
  end)
  for _, d in ipairs(over) do expire_lease(d) end
  local dead_due = forget_old_dead()
  -- The oldest at the front of a line: what nobody asks for dies of age, too.
  local age_due = NEVER
  local full = redis.call("ZCARD", deadOrder_key) >= limits.dead
  local from, buried = 0, 0
  while from < 10 * LEVEL do
    local front = redis.call("ZRANGEBYSCORE", ready_key, text(from), "+inf", "WITHSCORES", "LIMIT", 0, 1)
    if not front[1] then break end
    local seq = front[1]
    local record_text = redis.call("HGET", messages_key, seq)
    local record = read_record(record_text)
    if NOW - record.age_from > limits.age and not full then
      if buried == SWEEP then more = true break end
      local state = state_of(seq, record.age_from)
      leave(seq, record)
      bury(seq, record_text, record.id, state.attempts, "expired", state.error)
      buried = buried + 1
      full = redis.call("ZCARD", deadOrder_key) >= limits.dead
    else
      if not full then age_due = math.min(age_due, record.age_from + limits.age + 1) end
      from = (math.floor(tonumber(front[2]) / LEVEL) + 1) * LEVEL
    end
  end
  dead_due = math.min(dead_due, forget_old_dead())
  set_due(more and NOW or math.min(first_score(delayed_key), first_score(leases_key), first_score(idKeysByEnd_key), dead_due, age_due))
  return more
end

-- In front of commands that look at places: what is due has happened, or, of very much, a good part.
local function settle_time()
  for _ = 1, 10 do
    if DUE > NOW or not sweep() then return end
  end
end

-- Messages that were accepted, by where their arguments begin (queue-send.lua).
local function enqueue(accepted)
  if #accepted == 0 then return end
  local seq = take_numbers(#accepted)
  local records, places, levels = {}, {}, limits.levels
  for _, at in ipairs(accepted) do
    local meta = ARGV[at + 9] == "1" and ARGV[at + 3] or nil
    local key = ARGV[at + 10] == "1" and ARGV[at + 4] or nil
    local delay, priority = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
    local name, age_from = text(seq), NOW + delay
    local record = make_record(ARGV[at], priority, age_from, ARGV[at + 2], key, meta, ARGV[at + 1])
    if priority ~= 5 and not levels then
      levels = true
      redis.call("HSET", meta_key, "levels", 1)
    end
    if delay > 0 then
      redis.call("HSET", messages_key, name, record)
      redis.call("ZADD", delayed_key, text(age_from), seq_member(seq))
      due_at(age_from)
    elseif limits.keyed and key then
      redis.call("HSET", messages_key, name, record)
      local before = offered(key)
      redis.call("ZADD", lanes_key, 0, lane_prefix(key) .. seq_member(seq))
      offer(key, before)
    else
      records[#records + 1] = name
      records[#records + 1] = record
      places[#places + 1] = text(priority * LEVEL + seq)
      places[#places + 1] = name
    end
    due_at(age_from + limits.age + 1)
    seq = seq + 1
  end
  for from = 1, #records, 2000 do
    local to = math.min(from + 1999, #records)
    redis.call("HSET", messages_key, unpack(records, from, to))
    redis.call("ZADD", ready_key, unpack(places, from, to))
  end
  wake()
end

local function read_dead(dead)
  local n, attempts, moved_at, reason_length, error_length, at = string.match(dead, "^(%d+) (%d+) (%d+) (%d+) (%d+)\n()")
  local reason_end = at + tonumber(reason_length)
  local error_end = reason_end + tonumber(error_length)
  return {n = n, attempts = tonumber(attempts), moved_at = tonumber(moved_at), reason = string.sub(dead, at, reason_end - 1),
    error = string.sub(dead, reason_end, error_end - 1), record = string.sub(dead, error_end)}
end

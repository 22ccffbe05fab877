-- Claims messages for each of several calls, in order.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue
-- ARGV for each: delivery id, at most so many, lease (ms, 0: the queue's), wait (ms, 0: none), process, id of the call
-- Reply for each: {1, {record, attempt, end of the lease, … of the next}}, or {0}: nothing

local STRIDE = 6

local found = open_queue("defaultLeaseMs", "maxMessageAgeMs", "maxDeliveries", "paused", "levels")
if not found then return UNOPENED end
settle_time()

local default_lease, max_age, max_deliveries = tonumber(found[2]), tonumber(found[3]), tonumber(found[4])
local paused, levels = found[5], found[6]
local calls, first_ids, wanted = {}, {}, 0
for at = 1, #ARGV, STRIDE do
  local max, lease_ms = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if lease_ms == 0 then lease_ms = default_lease end
  local id = ARGV[at]
  calls[#calls + 1] = {id = id, max = max, lease_ms = lease_ms, wait_ms = tonumber(ARGV[at + 3]), owner = ARGV[at + 4],
    name = ARGV[at + 5], got = {}, count = 0}
  first_ids[#first_ids + 1] = max == 1 and id or id .. ".0"
  wanted = wanted + max
end

local function give(call, record, attempts, until_at)
  local got, n = call.got, 3 * call.count
  got[n + 1], got[n + 2], got[n + 3] = record, attempts, until_at
  call.count = call.count + 1
end

-- Sent again after a lost reply, a call finds what it took.
-- SELDOM
local function give_again(call, first)
  local d = read_delivery(call.id, first)
  while d and d.until_at > NOW do
    give(call, redis.call("HGET", messages_key, d.seq), d.attempts, d.until_at)
    d = call.count < call.max and held(call.id .. "." .. call.count)
  end
  if call.count > 0 then wanted = wanted - call.max end
end

-- Of each level its front, which has waited longest of it, and so has risen most.
-- SELDOM
local function next_of_levels()
  local best, best_level, best_order
  local from = 0
  while from < 10 * LEVEL do
    local front = redis.call("ZRANGEBYSCORE", ready_key, text(from), "+inf", "WITHSCORES", "LIMIT", 0, 1)
    if not front[1] then break end
    local score = tonumber(front[2])
    local level = math.floor(score / LEVEL)
    local order = score - level * LEVEL
    local record = message(front[1])
    local waited = math.max(0, math.floor((NOW - state_of(front[1], record.age_from).ready_at) / RISE_MS))
    local effective = math.max(0, level - waited)
    if not best or effective < best_level or (effective == best_level and order < best_order) then
      best, best_level, best_order = front[1], effective, order
    end
    from = (level + 1) * LEVEL
  end
  if best then redis.call("ZREM", ready_key, best) end
  return {best}
end

-- Taken out of the line, in order, and how many of them are dealt with. Never more than is wanted.
local seqs, records, states, done = {}, {}, {}, 0

local function take_more()
  seqs, done = {}, 0
  if levels then seqs = next_of_levels()
  else
    -- What is next after one that has a key is known when it is claimed.
    local popped = redis.call("ZPOPMIN", ready_key, keyed and 1 or math.min(wanted, 1000))
    for i = 1, #popped, 2 do seqs[#seqs + 1] = popped[i] end
  end
  if not seqs[1] then return false end
  records = redis.call("HMGET", messages_key, unpack(seqs))
  states = redis.call("HMGET", states_key, unpack(seqs))
  return true
end

local function key_of(record)
  return keyed and read_record(record).key
end

-- Whether the message is dead, and away.
-- SELDOM
local function is_dead(seq, record, s, reason)
  if not bury(seq, record, read_record(record).id, s.attempts, reason, s.error) then return false end
  local key = key_of(record)
  if key then offer(key, false) end
  return true
end

local deliveries, leases, old_states, first_end = {}, {}, {}, NEVER

local function claim(call, seq, record, state)
  local s = state and read_state(state)
  local age_from = tonumber(string.match(record, "^%d+"))
  local attempts = s and s.attempts or 0
  local key = key_of(record)
  if key then redis.call("ZREM", lanes_key, lane_prefix(key) .. seq_member(seq)) end
  local reason = NOW - age_from > max_age and "expired" or attempts >= max_deliveries and "max_deliveries_exceeded"
  if reason and is_dead(seq, record, s or state_of(seq, age_from), reason) then return end
  if key then redis.call("HSET", blocked_key, key, seq) end
  if s then old_states[#old_states + 1] = seq end
  local id = call.max == 1 and call.id or call.id .. "." .. call.count
  local until_at = NOW + call.lease_ms
  local n = #leases
  deliveries[n + 1] = id
  deliveries[n + 2] = text(until_at) .. " " .. seq .. " " .. attempts + 1 .. " " .. (s and text(s.order) or seq) .. " "
    .. text(s and s.ready_at or age_from) .. " " .. text(call.lease_ms) .. " " .. call.owner .. "\n" .. (s and s.error or "")
  leases[n + 1] = until_at
  leases[n + 2] = id
  first_end = math.min(first_end, until_at)
  wanted = wanted - 1
  give(call, record, attempts + 1, until_at)
end

local function serve(call)
  while call.count < call.max and (seqs[done + 1] or take_more()) do
    done = done + 1
    claim(call, seqs[done], records[done], states[done])
  end
end

local again = redis.call("HMGET", deliveries_key, unpack(first_ids))
for i, call in ipairs(calls) do
  if again[i] then give_again(call, again[i]) end
end
local replies, no_longer_waiting = {}, {}
for i, call in ipairs(calls) do
  if call.count == 0 and not paused then serve(call) end
  replies[i] = call.count > 0 and {1, call.got} or {0}
  if call.count == 0 and call.wait_ms > 0 then park(call.name, call.wait_ms)
  else no_longer_waiting[#no_longer_waiting + 1] = call.name end
end
if #no_longer_waiting > 0 then redis.call("ZREM", waiters_key, unpack(no_longer_waiting)) end
if #old_states > 0 then redis.call("HDEL", states_key, unpack(old_states)) end
for from = 1, #leases, 2000 do
  local to = math.min(from + 1999, #leases)
  redis.call("HSET", deliveries_key, unpack(deliveries, from, to))
  redis.call("ZADD", leases_key, unpack(leases, from, to))
end
if first_end < NEVER then due_at(first_end) end
return replies

-- Claims messages for each of several calls, in order.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue
-- ARGV for each: delivery id, at most so many, lease (ms, 0: the queue's), wait (ms, 0: none), process, id of the call
-- Reply for each: {1, messages as {id, delivery id, data, attempt, end of the lease, meta, key}}, or {0}: nothing

local STRIDE = 6

if not open_queue() then return UNOPENED end
settle_time()

-- The next in line, taken out of it; nil: nothing waits.
local function next_ready()
  if not limits.levels then return redis.call("ZPOPMIN", ready_key)[1] end
  -- Of each level its front, which has waited longest of it, and so has risen most.
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
  return best
end

local taken_deliveries, taken_leases, first_end = {}, {}, NEVER

local function take(id, lease_ms, owner)
  while true do
    local seq = next_ready()
    if not seq then return nil end
    local record_text = redis.call("HGET", messages_key, seq)
    local record = read_record(record_text)
    local state = state_of(seq, record.age_from)
    local keyed = limits.keyed and record.key
    if keyed then
      redis.call("ZREM", lanes_key, lane_prefix(record.key) .. seq_member(seq))
    end
    local reason
    if NOW - record.age_from > limits.age then reason = "expired"
    elseif state.attempts >= limits.deliveries then reason = "max_deliveries_exceeded" end
    if reason and bury(seq, record_text, record.id, state.attempts, reason, state.error) then
      if keyed then offer(record.key, false) end
    else
      if keyed then block(seq, record) end
      redis.call("HDEL", states_key, seq)
      local d = {seq = seq, attempts = state.attempts + 1, order = state.order, ready_at = state.ready_at,
        until_at = NOW + lease_ms, lease_ms = lease_ms, owner = owner, error = state.error}
      taken_deliveries[#taken_deliveries + 1] = id
      taken_deliveries[#taken_deliveries + 1] = delivery_text(d)
      taken_leases[#taken_leases + 1] = text(d.until_at)
      taken_leases[#taken_leases + 1] = id
      first_end = math.min(first_end, d.until_at)
      return {record.id, id, record.data, d.attempts, d.until_at, record.meta or false, record.key or false}
    end
  end
end

local function again(d)
  local record = message(d.seq)
  return {record.id, d.id, record.data, d.attempts, d.until_at, record.meta or false, record.key or false}
end

local replies = {}
for i = 1, #ARGV / STRIDE do
  local at = (i - 1) * STRIDE + 1
  local id, max, lease_ms, wait_ms = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  if lease_ms == 0 then lease_ms = limits.lease end
  local function name(n) return max == 1 and id or id .. "." .. n end
  local claimed = {}
  -- Sent again after a lost reply, it finds what it took.
  while #claimed < max do
    local d = held(name(#claimed))
    if not d then break end
    claimed[#claimed + 1] = again(d)
  end
  if #claimed == 0 and not limits.paused then
    while #claimed < max do
      local got = take(name(#claimed), lease_ms, ARGV[at + 4])
      if not got then break end
      claimed[#claimed + 1] = got
    end
  end
  if #claimed > 0 then
    unpark(ARGV[at + 5])
    replies[i] = {1, claimed}
  else
    if wait_ms > 0 then park(ARGV[at + 5], wait_ms) else unpark(ARGV[at + 5]) end
    replies[i] = {0}
  end
end
for from = 1, #taken_deliveries, 2000 do
  local to = math.min(from + 1999, #taken_deliveries)
  redis.call("HSET", deliveries_key, unpack(taken_deliveries, from, to))
  redis.call("ZADD", leases_key, unpack(taken_leases, from, to))
end
if first_end < NEVER then due_at(first_end) end
return replies

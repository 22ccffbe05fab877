-- Claims messages for each of several calls, in order.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
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
  local id, until_at = ARGV[at], NOW + lease_ms
  -- lease: what its deliveries end with, as text.
  calls[#calls + 1] = {id = id, max = max, until_at = until_at, until_text = text(until_at), name = ARGV[at + 5],
    lease = " " .. text(lease_ms) .. " " .. ARGV[at + 4] .. "\n", wait_ms = tonumber(ARGV[at + 3]), got = {}, count = 0}
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

-- Taken out of the line, in order, and how many of them are dealt with. Never more than is wanted.
local seqs, records, states, done = {}, {}, {}, 0

local function waits_since(seq) return state_of(seq, message(seq).age_from).ready_at end

local function take_more()
  -- What is next after one that has a key is known when it is claimed.
  seqs, done = take_ready(keyed and 1 or math.min(wanted, 1000), levels, waits_since), 0
  if not seqs[1] then return false end
  records = redis.call("HMGET", messages_key, unpack(seqs))
  states = redis.call("HMGET", states_key, unpack(seqs))
  return true
end

-- Whether the message is dead, and away.
-- SELDOM
local function is_dead(seq, record_text, s, reason)
  local record = read_record(record_text)
  if not bury(seq, record_text, record.id, s.attempts, reason, s.error) then return false end
  line_move(seq, line_item(seq, record, s), "line", false)
  return true
end

local deliveries, leases, old_states, first_end = {}, {}, {}, NEVER

local function claim(call, seq, record, state)
  local s = state and read_state(state)
  local age_from = string.match(record, "^%d+")
  local attempts = s and s.attempts or 0
  local reason = NOW - age_from > max_age and "expired" or attempts >= max_deliveries and "max_deliveries_exceeded"
  if reason and is_dead(seq, record, s or state_of(seq, tonumber(age_from)), reason) then return end
  local key = keyed and read_record(record).key
  if key then hold_lane(seq, {seq = seq, key = key}) end
  if s then old_states[#old_states + 1] = seq end
  local id = call.max == 1 and call.id or call.id .. "." .. call.count
  local n = #leases
  deliveries[n + 1] = id
  deliveries[n + 2] = call.until_text .. " " .. seq .. " " .. attempts + 1 .. " " .. (s and text(s.order) or seq) .. " "
    .. (s and text(s.ready_at) or age_from) .. call.lease .. (s and s.error or "")
  leases[n + 1], leases[n + 2] = call.until_text, id
  first_end = math.min(first_end, call.until_at)
  wanted = wanted - 1
  give(call, record, attempts + 1, call.until_at)
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
call_many("HSET", deliveries_key, deliveries)
call_many("ZADD", leases_key, leases)
if first_end < NEVER then due_at(first_end) end
return replies

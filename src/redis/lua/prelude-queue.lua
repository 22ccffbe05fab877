-- A queue on Redis.
--
--   messages    hash   seq → record, which never changes: "ageFrom id\n" data; or, of a message with a priority, a key or
--                      meta: "ageFrom id priority keyBytes keyLength metaLength\n" key meta data. What follows "ageFrom "
--                      is made, and read again, by the process (queue.ts), which counts lengths in UTF-16 (-1: none)
--   states      hash   seq → "attempts order readyAt retry\n" error: where it differs from what was sent
--   ready, lanes, blocked: prelude-line.lua. Keys count only when the queue is partitioned; a key is also held by its
--               message that waits for a retry
--   delayed     zset   padded seq by due time
--   leases      zset   delivery id by the end of its lease
--   deliveries  hash   delivery id → "untilAt seq attempts order readyAt leaseMs owner\n" error
--   dead        hash   id → "n attempts movedAt reasonLength errorLength\n" reason error record
--   deadOrder   zset   id by n
--   idKeys      hash   idempotency key → "untilAt id";  idKeysByEnd  zset

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

local function seq_member(seq) return string.format("%016d", seq) end

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

-- As it stands in line (prelude-line.lua).
local function line_item(seq, record, state)
  record = record or message(seq)
  state = state or state_of(seq, record.age_from)
  return {seq = seq, priority = record.priority, order = state.order, key = keyed and record.key}
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

local function read_dead(dead)
  local n, attempts, moved_at, reason_length, error_length, at = string.match(dead, "^(%d+) (%d+) (%d+) (%d+) (%d+)\n()")
  local reason_end = at + tonumber(reason_length)
  local error_end = reason_end + tonumber(error_length)
  return {n = n, attempts = tonumber(attempts), moved_at = tonumber(moved_at), reason = string.sub(dead, at, reason_end - 1),
    error = string.sub(dead, reason_end, error_end - 1), record = string.sub(dead, error_end)}
end

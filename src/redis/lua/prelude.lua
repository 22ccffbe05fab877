-- In front of every script. A script begins with
--   local settings = open("name", …)
--   if not settings then return UNOPENED end
-- and finds the fields that it asked for in settings[1], settings[2] …: texts, or false.

local UNOPENED = {err = "UNOPENED"}
-- From the script of the plain case (script.ts): this is not it.
local ELSE = {err = "ELSE"}
local NEVER = math.huge
-- NOW: the time, which tests may move. REAL: the server's, by which the lives of processes are measured.
local NOW, REAL, SEED, DUE = 0, 0, "", NEVER

local function open(...)
  local found = redis.call("HMGET", meta_key, "seed", "clock", "dueAt", ...)
  if not found[1] then return nil end
  local time = redis.call("TIME")
  REAL = time[1] * 1000 + math.floor(time[2] / 1000)
  NOW = REAL + (tonumber(found[2]) or 0)
  SEED = found[1]
  DUE = tonumber(found[3]) or NEVER
  return {unpack(found, 4)}
end

-- Integers as text: `..` would write those beyond 14 digits with an exponent. Also for arguments of commands: numbers
-- take longer, and strings cost by the byte wherever one is made.
local function text(integer) return string.format("%d", integer) end

-- A command with however many values, in chunks that `unpack` can take.
local function call_many(command, key, values)
  for from = 1, #values, 3000 do redis.call(command, key, unpack(values, from, math.min(from + 2999, #values))) end
end

-- Fields of a hash, however many.
local function get_many(key, fields)
  if #fields <= 3000 then return #fields == 0 and {} or redis.call("HMGET", key, unpack(fields)) end
  local values = {}
  for from = 1, #fields, 3000 do
    for _, value in ipairs(redis.call("HMGET", key, unpack(fields, from, math.min(from + 2999, #fields)))) do
      values[#values + 1] = value
    end
  end
  return values
end

-- The next number of this instance: messages, places in line. `count` of them are taken; the first is returned.
local function take_numbers(count)
  return redis.call("HINCRBY", meta_key, "next", count) - count + 1
end

-- Something is due at this time. Processes that watch were told of DUE: they hear of it only if it is earlier. What is
-- over already and was not done yet stays what is due first.
local function due_at(at)
  if at >= DUE then return end
  DUE = at
  redis.call("HSET", meta_key, "dueAt", text(at))
  redis.call("PUBLISH", meta_key, "due " .. text(math.max(0, at - NOW)))
end

-- For sweeps, which know all that is due: the next time, or NEVER.
local function set_due(at)
  if at == DUE then return end
  DUE = at
  if at == NEVER then redis.call("HDEL", meta_key, "dueAt")
  else redis.call("HSET", meta_key, "dueAt", text(at)) end
end

-- Milliseconds until something is due; -1: nothing is.
local function due_in()
  if DUE == NEVER then return -1 end
  return math.max(0, DUE - NOW)
end

-- A batch of members with scores up to NOW.
local function overdue(key, limit)
  return redis.call("ZRANGEBYSCORE", key, "-inf", text(NOW), "LIMIT", 0, limit)
end

local function first_score(key)
  local first = redis.call("ZRANGE", key, 0, 0, "WITHSCORES")
  return first[2] and tonumber(first[2]) or NEVER
end

-- What a sweep script does: a batch of it, if something is due and no other process is at it.
local SWEEP_LEASE_MS = 1000
local function sweep_now(process, sweep)
  if DUE > NOW then return {0, due_in()} end
  local by = redis.call("HMGET", meta_key, "sweptBy", "sweptUntil")
  if by[1] and by[1] ~= process and tonumber(by[2]) > NOW then return {0, SWEEP_LEASE_MS} end
  if not sweep() then
    if by[1] then redis.call("HDEL", meta_key, "sweptBy", "sweptUntil") end
    return {0, due_in()}
  end
  redis.call("HSET", meta_key, "sweptBy", process, "sweptUntil", text(NOW + SWEEP_LEASE_MS))
  return {1, 0}
end

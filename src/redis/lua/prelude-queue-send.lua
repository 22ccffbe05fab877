-- Messages as they come. Needs: prelude-queue.lua, prelude-line.lua and their keys.

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
    line_move(name, {seq = seq, priority = options.priority, order = seq, key = key}, false, "line")
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
    local place, name = plain_place(seq), text(seq)
    if options or keyed then place = place_specially(seq, record, options or PLAIN, levels) end
    records[2 * i - 1], records[2 * i] = name, record
    if place then
      places[#places + 1] = text(place)
      places[#places + 1] = name
    end
    soonest = math.min(soonest, options and options.delay or 0)
  end
  call_many("HSET", messages_key, records)
  call_many("ZADD", ready_key, places)
  due_at(NOW + soonest + max_age + 1)
  wake()
end

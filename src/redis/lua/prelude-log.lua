-- The event log of an instance: a stream of dense numbers, entry `n-0`, field `e` the event as JSON text, field `k` what
-- readers choose by. Needs: events. Needs the fields LOG_FIELDS of the instance's hash, given to log_open in order.
-- The channel of events has the name of their key.

local log_head, log_trimmed, log_trim_at, log_retention, log_max

local function log_open(head, trimmed, trim_at, retention_ms, max_len)
  log_head, log_trimmed, log_trim_at = tonumber(head) or 0, tonumber(trimmed) or 0, tonumber(trim_at) or NEVER
  log_retention, log_max = tonumber(retention_ms), tonumber(max_len)
end

local function log_published_at(entry)
  return tonumber(string.match(entry[2][2], '"publishedAt":(%d+)'))
end

-- Forgets events beyond the number or the age that is kept.
local function log_trim()
  local keep_after = math.max(log_trimmed, log_head - log_max)
  if NOW >= log_trim_at then
    log_trim_at = NEVER
    local from = keep_after + 1
    while from <= log_head and log_trim_at == NEVER do
      local page = redis.call("XRANGE", events_key, text(from) .. "-0", "+", "COUNT", 100)
      if #page == 0 then
        keep_after = log_head
        break
      end
      for _, entry in ipairs(page) do
        local ends_at = log_published_at(entry) + log_retention
        if ends_at > NOW then
          log_trim_at = ends_at
          break
        end
        keep_after = tonumber(string.match(entry[1], "^%d+"))
        from = keep_after + 1
      end
    end
    redis.call("HSET", meta_key, "logTrimAt", log_trim_at == NEVER and "" or text(log_trim_at))
  end
  if keep_after <= log_trimmed then return end
  log_trimmed = keep_after
  redis.call("XTRIM", events_key, "MINID", text(log_trimmed + 1) .. "-0")
  redis.call("HSET", meta_key, "logTrimmed", text(log_trimmed))
end

-- Adds an event and tells who listens. `fragment`: its fields as JSON without the braces, the first of them not
-- "publishedAt"; `kind`: the type of what is announced. Returns its number.
local function log_append(kind, fragment, choose_by)
  log_head = log_head + 1
  local event = '{"n":' .. text(log_head) .. ',"publishedAt":' .. text(NOW) .. "," .. fragment .. "}"
  redis.call("XADD", events_key, text(log_head) .. "-0", "e", event, "k", choose_by or "")
  redis.call("HSET", meta_key, "logHead", text(log_head))
  if log_trim_at == NEVER then
    log_trim_at = NOW + log_retention
    redis.call("HSET", meta_key, "logTrimAt", text(log_trim_at))
  end
  log_trim()
  redis.call("PUBLISH", events_key, text(log_head) .. ' {"type":"' .. kind .. '","event":' .. event .. "}")
  return log_head
end

-- {generation, n} of a place, and what was lost: {…, after, firstAvailable}. `at`: "start", "now", or "cursor".
local function log_anchor(at, generation, n)
  log_trim()
  if at == "start" then return {SEED, log_trimmed} end
  if at == "now" then return {SEED, log_head} end
  n = tonumber(n)
  if generation == SEED and n <= log_head and n >= log_trimmed then return {SEED, n} end
  return {SEED, log_trimmed, generation .. "." .. text(n), SEED .. "." .. text(log_trimmed)}
end

-- {head, events as JSON texts} after a number, at most `limit` of those that `chosen` accepts; and what was lost.
local function log_read(after, limit, chosen)
  log_trim()
  local events = {}
  local from = math.max(after, log_trimmed) + 1
  while #events < limit and from <= log_head do
    local page = redis.call("XRANGE", events_key, text(from) .. "-0", "+", "COUNT", 500)
    if #page == 0 then break end
    for _, entry in ipairs(page) do
      from = tonumber(string.match(entry[1], "^%d+")) + 1
      if not chosen or chosen(entry[2][4]) then events[#events + 1] = entry[2][2] end
      if #events == limit then break end
    end
  end
  if after >= log_trimmed then return {log_head, events} end
  return {log_head, events, SEED .. "." .. text(after), SEED .. "." .. text(log_trimmed)}
end

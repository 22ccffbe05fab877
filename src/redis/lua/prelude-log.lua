-- The event log of an instance: a stream of dense numbers, entry `n-0`, field `e` the event as JSON text, and, where
-- readers choose, field `k` what they choose by. Needs: events. The channel of events has the name of their key.
--
-- Of the instance's hash it needs, given to log_open in this order: logHead, logTrimmed, logOldestAt, then how long
-- events are kept, and how many of them.
--
-- Up to `logTrimmed` events are gone, whether or not the stream still has some of them. `logOldestAt`: no event that is
-- left is older than that; it is made exact when it matters.

local LOG_TRIM_BATCH = 100
local LOG_SLACK_MS = 60000

local log_head, log_trimmed, log_oldest_at, log_retention, log_max
local log_saved_head, log_cut
local log_told = {}
local log_times

local function log_open(head, trimmed, oldest_at, retention_ms, max_len)
  log_head, log_trimmed, log_oldest_at = tonumber(head) or 0, tonumber(trimmed) or 0, tonumber(oldest_at) or NEVER
  log_retention, log_max = tonumber(retention_ms), tonumber(max_len)
  log_saved_head, log_cut = log_head, log_trimmed
end

local function log_published_at(event)
  return tonumber(string.match(event, '^{"n":%d+,"publishedAt":(%d+)'))
end

-- When the sweep should look at the log: nobody waits for that, since what is too old is not read, so it may be a
-- little later, for many events at once.
local function log_due()
  if log_oldest_at == NEVER then return NEVER end
  return log_oldest_at + log_retention + 1 + math.min(LOG_SLACK_MS, math.floor(log_retention / 100))
end

-- Adds an event. `kind`: the type of what is announced; `choose_by`: its `k`, or nil; the rest, up to four texts that are
-- put together only once: its fields besides n and publishedAt, as JSON without the braces. Returns its number. Whoever
-- adds calls log_save, or log_fields, at the end, which tells who listens (event-text.ts).
local function log_append(kind, choose_by, a, b, c, d)
  log_head = log_head + 1
  log_times = log_times or ',"publishedAt":' .. text(NOW) .. ","
  local n = text(log_head)
  local event = '{"n":' .. n .. log_times .. a .. (b or "") .. (c or "") .. (d or "") .. "}"
  if choose_by then redis.call("XADD", events_key, n, "e", event, "k", choose_by)
  else redis.call("XADD", events_key, n, "e", event) end
  if #log_told == 0 then log_told[1] = kind .. " event" end
  log_told[#log_told + 1] = event
  return log_head
end

-- Tells who listens, and cuts the log. Fields of the instance's hash that have changed are returned, to be written.
local function log_fields()
  local fields = {}
  if #log_told > 0 then
    redis.call("PUBLISH", events_key, table.concat(log_told, "\n"))
    log_told = {}
  end
  if log_head ~= log_saved_head then
    if log_saved_head == log_trimmed then
      -- It was empty.
      log_oldest_at = NOW
      fields = {"logOldestAt", text(NOW)}
      due_at(log_due())
    end
    fields[#fields + 1] = "logHead"
    fields[#fields + 1] = text(log_head)
    log_saved_head = log_head
  end
  log_trimmed = math.max(log_trimmed, log_head - log_max)
  if log_trimmed > log_cut then
    fields[#fields + 1] = "logTrimmed"
    fields[#fields + 1] = text(log_trimmed)
    if math.floor(log_trimmed / LOG_TRIM_BATCH) > math.floor(log_cut / LOG_TRIM_BATCH) then
      redis.call("XTRIM", events_key, "MINID", text(log_trimmed + 1) .. "-0")
    end
    log_cut = log_trimmed
  end
  return fields
end

local function log_save()
  local fields = log_fields()
  if #fields > 0 then redis.call("HSET", meta_key, unpack(fields)) end
end

-- Forgets events beyond the number or the age that is kept. Readers and sweeps begin with it.
local function log_trim()
  log_save()
  if log_oldest_at + log_retention >= NOW then return end
  log_oldest_at = NEVER
  local keep_after, count = log_trimmed, 2
  while keep_after < log_head and log_oldest_at == NEVER do
    local page = redis.call("XRANGE", events_key, text(keep_after + 1) .. "-0", "+", "COUNT", count)
    if #page == 0 then keep_after = log_head end
    for _, entry in ipairs(page) do
      local published_at = log_published_at(entry[2][2])
      if published_at + log_retention >= NOW then
        log_oldest_at = published_at
        break
      end
      keep_after = tonumber(string.match(entry[1], "^%d+"))
    end
    count = math.min(2 * count, 100)
  end
  local oldest_at = log_oldest_at == NEVER and "" or text(log_oldest_at)
  redis.call("HSET", meta_key, "logOldestAt", oldest_at, "logTrimmed", text(keep_after))
  if keep_after == log_trimmed then return end
  redis.call("XTRIM", events_key, "MINID", text(keep_after + 1) .. "-0")
  log_trimmed, log_cut = keep_after, keep_after
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

-- {head, events as JSON texts} after a number, at most `limit` of those that `chosen(k, event)` accepts (nil: all); and
-- what was lost: {…, after, firstAvailable}. All of them are known to stand from `first` to `last`, if those are given.
local function log_read(after, limit, chosen, first, last)
  log_trim()
  local events = {}
  local from = math.max(after + 1, log_trimmed + 1, first or 0)
  while #events < limit and from <= (last or log_head) do
    local count = chosen and 500 or math.min(500, limit - #events)
    local page = redis.call("XRANGE", events_key, text(from) .. "-0", last and text(last) or "+", "COUNT", count)
    if #page == 0 then break end
    for _, entry in ipairs(page) do
      local event = entry[2][2]
      from = tonumber(string.match(entry[1], "^%d+")) + 1
      -- The clock may have been set back: what stands behind a younger one may be too old.
      if (not chosen or chosen(entry[2][4], event)) and log_published_at(event) + log_retention >= NOW then
        events[#events + 1] = event
      end
      if #events == limit then break end
    end
  end
  if after >= log_trimmed then return {log_head, events} end
  return {log_head, events, SEED .. "." .. text(after), SEED .. "." .. text(log_trimmed)}
end

-- Entries by key, and the log of their changes: registry and ephemeral.
--
--   entries     hash  key → record, tombstones among them
--   active      zset  keys that are there, all of score 0: in order of their bytes, which is that of code points
--   deadlines   zset  keys that end, by when
--   tombstones  zset  registry: keys that expired, all of score 0
--   forgets     zset  registry: the same keys by the deadlines that they had
--   bound       zset  ephemeral: "process key" of what ends with a process, all of score 0
--   events      the log (prelude-log.lua), its entries chosen by key
--
-- A record is a JSON array: version, made, changed, ttl, deadline, 1 if expired, meta, value, process, handle; null for
-- what there is not. Its texts stand on lines of their own, so that it is taken apart here without being parsed: JSON
-- has no line ends within texts. Values, metas, handles and reasons are JSON strings as the caller made them.

local RECORD = "^%[(%d+),(%d+),(%d+),(%w+),(%w+),([01])\n,([^\n]*)\n,([^\n]*)\n,([^\n]*)\n,([^\n]*)%]$"
local DEADLINE = "^%[%d+,%d+,%d+,%w+,(%w+),([01])"
local MAX_BATCH = 1000
local BEFORE_A_COMMAND = 2000

local kind, version, saved_version
-- tombstone_ms: nil where what expired is gone.
local max_entries, max_bytes, tombstone_ms, batch

-- Opens the instance and reads its settings. `of`: "registry" or "ephemeral".
local function open_entries(of)
  local s = open("logHead", "logTrimmed", "logOldestAt", "eventRetentionMs", "eventMaxLen", "version", "maxEntries",
    "maxPayloadBytes", "tombstoneRetentionMs", "reconcileBatchSize")
  if not s then return false end
  log_open(s[1], s[2], s[3], s[4], s[5])
  kind, version = of, tonumber(s[6]) or 0
  saved_version = version
  max_entries, max_bytes, tombstone_ms = tonumber(s[7]), tonumber(s[8]), tonumber(s[9])
  batch = math.min(tonumber(s[10]) or 200, MAX_BATCH)
  return true
end

-- The last step of every script.
local function done(reply)
  local fields = log_fields()
  if version ~= saved_version then
    fields[#fields + 1] = "version"
    fields[#fields + 1] = text(version)
  end
  if #fields > 0 then redis.call("HSET", meta_key, unpack(fields)) end
  return reply
end

local function next_version()
  version = version + 1
  return text(version)
end

-- Of an event that changes no value.
local function version_after(entry)
  if kind == "ephemeral" then return next_version() end
  return entry.version
end

local function cursor() return SEED .. "." .. text(log_head) end

local function or_null(number) return number and text(number) or "null" end

-- --- Records -------------------------------------------------------------------------------------------------------

local function read_record(key, record)
  local v, created_at, updated_at, ttl_ms, expires_at, expired, meta, value, owner, handle = string.match(record, RECORD)
  return {key = key, version = v, created_at = tonumber(created_at), updated_at = tonumber(updated_at),
    ttl_ms = tonumber(ttl_ms), expires_at = tonumber(expires_at), expired = expired == "1", meta = meta, value = value,
    owner = owner ~= "null" and string.sub(owner, 2, -2) or nil, handle = handle}
end

local function times(entry)
  return text(entry.created_at) .. "," .. text(entry.updated_at) .. "," .. or_null(entry.ttl_ms) .. ","
    .. or_null(entry.expires_at)
end

local function write_record(entry)
  redis.call("HSET", entries_key, entry.key, "[" .. entry.version .. "," .. times(entry) .. ","
    .. (entry.expired and 1 or 0) .. "\n," .. entry.meta .. "\n," .. entry.value .. "\n,"
    .. (entry.owner and '"' .. entry.owner .. '"' or "null") .. "\n," .. entry.handle .. "]")
end

-- What a write made of its value: the beginning of a record.
local function stamp(entry) return "[" .. entry.version .. "," .. times(entry) .. ",0," .. entry.meta .. "]" end

local function announce(key, what)
  log_append(kind .. ".changed", key, '"key":', cjson.encode(key), ",", what)
end

local function announce_entry(entry)
  local bound = entry.owner and ',"bound":{"tab":"' .. entry.owner .. '","handle":' .. entry.handle .. "}" or ""
  local meta = entry.meta ~= "null" and ',"meta":' .. entry.meta or ""
  announce(entry.key, '"type":"upsert","entry":{"key":' .. cjson.encode(entry.key) .. ',"value":' .. entry.value
    .. ',"version":"' .. entry.version .. '","createdAt":' .. text(entry.created_at) .. ',"updatedAt":'
    .. text(entry.updated_at) .. ',"ttlMs":' .. or_null(entry.ttl_ms) .. ',"expiresAt":' .. or_null(entry.expires_at)
    .. ',"expired":false' .. meta .. bound .. "}")
end

-- --- What becomes of entries ---------------------------------------------------------------------------------------

local function bind(key, owner)
  redis.call("ZADD", bound_key, 0, owner .. " " .. key)
  hold(owner, 1)
end

local function unbind(entry)
  if not entry.owner then return end
  redis.call("ZREM", bound_key, entry.owner .. " " .. entry.key)
  let_go(entry.owner, 1)
end

local function expire(entry)
  local key, at = entry.key, entry.expires_at
  entry.version = version_after(entry)
  redis.call("ZREM", active_key, key)
  redis.call("ZREM", deadlines_key, key)
  if tombstone_ms then
    entry.expired = true
    write_record(entry)
    redis.call("ZADD", tombstones_key, 0, key)
    redis.call("ZADD", forgets_key, text(at), key)
    due_at(at + tombstone_ms)
  else
    redis.call("HDEL", entries_key, key)
    unbind(entry)
  end
  announce(key, '"type":"expire","version":"' .. entry.version .. '","expiredAt":' .. text(at))
end

-- The entry under a key, if it is there; else the tombstone in its place.
local function find(key)
  local record = redis.call("HGET", entries_key, key)
  if not record then return nil, nil end
  local entry = read_record(key, record)
  if not entry.expired then
    if not entry.expires_at or entry.expires_at > NOW then return entry, nil end
    -- One of so many that the sweep has not come to it.
    expire(entry)
    if not tombstone_ms then return nil, nil end
  end
  return nil, entry
end

-- Whether a record is that of an entry which is there.
local function is_there(record)
  local expires_at, expired = string.match(record, DEADLINE)
  return expired == "0" and (tonumber(expires_at) or NEVER) > NOW
end

local function set_deadline(entry)
  redis.call("ZADD", deadlines_key, text(entry.expires_at), entry.key)
  due_at(entry.expires_at)
end

-- Writes {key, value, meta, ttl_ms, created_at, owner, handle} in place of what `find` gave, and says so.
local function save(entry, earlier, tombstone)
  local key = entry.key
  entry.version, entry.updated_at = next_version(), NOW
  entry.expires_at = entry.ttl_ms and NOW + entry.ttl_ms
  write_record(entry)
  if not earlier then redis.call("ZADD", active_key, 0, key) end
  if tombstone then
    redis.call("ZREM", tombstones_key, key)
    redis.call("ZREM", forgets_key, key)
  end
  if entry.expires_at then set_deadline(entry)
  elseif earlier and earlier.expires_at then redis.call("ZREM", deadlines_key, key) end
  local holder = earlier and earlier.owner
  if holder ~= entry.owner then
    if holder then unbind(earlier) end
    if entry.owner then bind(key, entry.owner) end
  end
  announce_entry(entry)
  return entry
end

local function touch(entry, ttl_ms)
  entry.version, entry.updated_at = version_after(entry), NOW
  entry.ttl_ms, entry.expires_at = ttl_ms, NOW + ttl_ms
  write_record(entry)
  set_deadline(entry)
  announce(entry.key, '"type":"touch","version":"' .. entry.version .. '","updatedAt":' .. text(NOW) .. ',"expiresAt":'
    .. text(entry.expires_at))
  return {entry.version, entry.expires_at}
end

-- `reason`: a JSON string, or "".
local function remove(entry, reason)
  local key = entry.key
  redis.call("HDEL", entries_key, key)
  redis.call("ZREM", active_key, key)
  if entry.expires_at then redis.call("ZREM", deadlines_key, key) end
  unbind(entry)
  announce(key, '"type":"delete","version":"' .. version_after(entry) .. '","deletedAt":' .. text(NOW)
    .. (reason ~= "" and ',"reason":' .. reason or ""))
end

-- Keys that end with a process, in their order.
local function bound_to(owner, limit)
  local members = redis.call("ZRANGEBYLEX", bound_key, "[" .. owner .. " ", "(" .. owner .. "!", "LIMIT", 0, limit)
  for i, member in ipairs(members) do members[i] = string.sub(member, #owner + 2) end
  return members
end

local function end_all(keys, reason)
  for _, key in ipairs(keys) do
    local entry = find(key)
    if entry then remove(entry, '"' .. reason .. '"') end
  end
end

-- --- What is refused -----------------------------------------------------------------------------------------------

local function too_large(bytes)
  if tonumber(bytes) <= max_bytes then return nil end
  return {err = "TL TOO_LARGE " .. text(max_bytes) .. " " .. bytes .. " " .. kind}
end

local function over()
  return redis.call("ZCOUNT", deadlines_key, "-inf", text(NOW))
end

-- How many entries there are: those that the sweep has not come to are none.
local function count() return redis.call("ZCARD", active_key) - over() end

local function full(added)
  if added <= 0 or count() + added <= max_entries then return nil end
  return {err = "TL CAPACITY maxEntries " .. text(max_entries) .. " " .. kind}
end

-- --- Pages ---------------------------------------------------------------------------------------------------------

-- {keys, records, cursor, the last key if there is more}: keys of `index` that begin with `prefix`, behind `after`
-- ("": from the first), at most `limit` (-1: all). `behind`: those with deadlines up to then are left out.
local function page(index, prefix, after, limit, behind)
  local from = after > prefix and "(" .. after or prefix ~= "" and "[" .. prefix or "-"
  -- No byte of UTF-8 is as large.
  local to = prefix ~= "" and "(" .. prefix .. "\255" or "+"
  local found = redis.call("ZRANGEBYLEX", index, from, to, "LIMIT", 0, limit < 0 and -1 or limit + 1)
  local next_key = false
  if limit >= 0 and #found > limit then
    found[#found] = nil
    next_key = found[#found]
  end
  local keys, records = {}, {}
  for i, record in ipairs(get_many(entries_key, found)) do
    local expires_at = behind and tonumber((string.match(record, DEADLINE)))
    if not expires_at or expires_at > behind then
      keys[#keys + 1] = found[i]
      records[#records + 1] = record
    end
  end
  return {keys, records, cursor(), next_key}
end

-- `of`: "key", "prefix" or "all".
local function read_changes(after, limit, of, what)
  if of == "all" then return log_read(after, limit) end
  return log_read(after, limit, function(key)
    return key == what or of == "prefix" and string.sub(key, 1, #what) == what
  end)
end

-- --- Time ----------------------------------------------------------------------------------------------------------

local function expire_overdue()
  local keys = overdue(deadlines_key, batch)
  if #keys == 0 then return false end
  local full_batch = #keys == batch
  if full_batch then
    -- Those of the same deadline go in order of their versions, not of their keys.
    local last = redis.call("ZSCORE", deadlines_key, keys[batch])
    keys = redis.call("ZRANGEBYSCORE", deadlines_key, "-inf", last, "LIMIT", 0, MAX_BATCH)
  end
  local due = redis.call("HMGET", entries_key, unpack(keys))
  for i, record in ipairs(due) do due[i] = read_record(keys[i], record) end
  table.sort(due, function(a, b)
    if a.expires_at ~= b.expires_at then return a.expires_at < b.expires_at end
    return tonumber(a.version) < tonumber(b.version)
  end)
  for i = 1, math.min(batch, #due) do expire(due[i]) end
  return full_batch
end

local function forget_tombstones()
  local old = redis.call("ZRANGEBYSCORE", forgets_key, "-inf", text(NOW - tombstone_ms), "LIMIT", 0, batch)
  if #old == 0 then return false end
  redis.call("HDEL", entries_key, unpack(old))
  redis.call("ZREM", tombstones_key, unpack(old))
  redis.call("ZREM", forgets_key, unpack(old))
  return #old == batch
end

local function end_with_dead()
  local left = batch
  for _, owner in ipairs(dead_owners(batch)) do
    local keys = bound_to(owner, left)
    end_all(keys, "tab_gone")
    left = left - #keys
    if left == 0 then return true end
    redis.call("HDEL", held_key, owner)
    redis.call("ZREM", owners_key, owner)
  end
  return false
end

-- Does what time has brought, a batch of it. Returns whether there is more.
local function sweep()
  local more = expire_overdue()
  local due = NEVER
  if tombstone_ms then
    more = forget_tombstones() or more
    due = first_score(forgets_key) + tombstone_ms
  elseif not more then
    more = end_with_dead()
    due = next_death()
  end
  log_trim()
  set_due(more and NOW or math.min(first_score(deadlines_key), due, log_due()))
  return more
end

-- In front of every command: what is due has happened, or, of very much, a good part.
local function settle_time()
  for _ = 1, BEFORE_A_COMMAND / batch do
    if DUE > NOW or not sweep() then return end
  end
end

-- Writes of a registry. Their arguments: key, value, its bytes, ttl (ms, "": none), meta ("": none), version.

local WRITE = 6

local function given(text) return text ~= "" and text or nil end

-- A new value, with all that comes with it.
local function upsert(at, earlier, tombstone)
  return stamp(save({key = ARGV[at], value = ARGV[at + 1], ttl_ms = tonumber(ARGV[at + 3]),
    meta = given(ARGV[at + 4]) or "null", created_at = earlier and earlier.created_at or NOW, handle = "null"}, earlier,
    tombstone))
end

-- Another value of the same entry.
local function replace(at, earlier)
  return stamp(save({key = ARGV[at], value = ARGV[at + 1], ttl_ms = earlier.ttl_ms,
    meta = given(ARGV[at + 4]) or earlier.meta, created_at = earlier.created_at, handle = "null"}, earlier))
end

-- Replies to several writes, each of which is done or refused on its own.
local function each_write(write)
  local replies = {}
  for i = 1, #ARGV / WRITE do
    local at = (i - 1) * WRITE + 1
    replies[i] = too_large(ARGV[at + 2]) or write(at, find(ARGV[at]))
  end
  return done(replies)
end

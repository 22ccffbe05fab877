-- Tells what a handle of a process holds, to a server that may have forgotten it.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV process, handle, then for each: key, value, what is left of its ttl (ms), when it was made, version
-- Reply the keys that it does not hold any more

if not open_entries("ephemeral") then return UNOPENED end

local STRIDE = 5
local owner, handle = ARGV[1], ARGV[2]

-- What was not yet taken from the process stays its own.
if redis.call("HEXISTS", held_key, owner) == 1 then hold(owner, 0) end
settle_time()

-- What is there wins over what a process remembers.
local function holds(at)
  local key, told_version = ARGV[at], tonumber(ARGV[at + 4])
  local there = find(key)
  if there then
    if there.handle ~= handle then return false end
    if there.owner ~= owner then
      unbind(there)
      there.owner = owner
      bind(key, owner)
      write_record(there)
    end
    return true
  end
  if full(1) then return false end
  -- Versions go on where those of the lost data ended.
  version = math.max(version, told_version)
  save({key = key, value = ARGV[at + 1], ttl_ms = tonumber(ARGV[at + 2]), meta = "null",
    created_at = tonumber(ARGV[at + 3]), owner = owner, handle = handle})
  return true
end

local lost = {}
for at = 3, #ARGV, STRIDE do
  if not holds(at) then lost[#lost + 1] = ARGV[at] end
end
return done(lost)

-- Ends what is bound to a handle of a process.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV process, handle
-- Reply null

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

local keys = {}
for _, key in ipairs(bound_to(ARGV[1], -1)) do
  local entry = find(key)
  if entry and entry.handle == ARGV[2] then keys[#keys + 1] = key end
end
end_all(keys, "closed")
return done(false)

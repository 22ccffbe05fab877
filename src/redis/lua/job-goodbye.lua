-- A process leaves: what it runs is handed back, its handles are forgotten.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV process
-- Reply null

if not open_job() then return UNOPENED end

local running = redis.call("HEXISTS", held_key, ARGV[1]) == 1 and redis.call("ZRANGE", leases_key, 0, -1) or {}
for i, place in ipairs(get_many(places_key, running)) do
  local p = read_place(running[i], place)
  if p.by == ARGV[1] then hand_back(running[i], p) end
end
forget_handles({[ARGV[1]] = true})
return done(false)

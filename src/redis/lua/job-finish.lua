-- Ends runs: with results, or as failed attempts.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV for each: run id, 1: completed, result or error (JSON texts), 1: another attempt may follow
-- Reply for each: 1, or null when the run is over

local STRIDE = 4

if not open_job() then return UNOPENED end
settle_time()

local runs, ids = {}, {}
for at = 1, #ARGV, STRIDE do runs[#runs + 1] = ARGV[at] end
local holders = get_many(runs_key, runs)
for i, id in ipairs(holders) do ids[i] = id or "" end

-- Of first runs that complete, what is written at the end.
local over, settled, finished, runs_over, let = {}, {}, {}, {}, {}
local now = text(NOW)
-- Whether anything of them is kept.
local keep = limits.kept > 0 or redis.call("SCARD", awaited_key) > 0

local function complete(id, run, by, result)
  over[#over + 1] = id
  runs_over[#over] = run
  let[by] = (let[by] or 0) + 1
  if keep then
    local n, i = text(log_head + 1), #settled
    settled[i + 1], settled[i + 2] = id, first_result_text(now, n, result)
    finished[i + 1], finished[i + 2] = n, id
    ended[#ended + 1] = id
  end
  happened(id, '"type":"completed","attempt":1')
end

local replies, seen = {}, {}
for i, place in ipairs(get_many(places_key, ids)) do
  local id, at = holders[i], (i - 1) * STRIDE + 1
  local completed, result = ARGV[at + 1] == "1", ARGV[at + 2]
  if not id or seen[id] then replies[i] = false
  else
    seen[id] = true
    replies[i] = 1
    local by = completed and first_run_owner(place)
    if by then complete(id, ARGV[at], by, result)
    elseif completed then settle(id, read_place(id, place), "c", "", result)
    else fail_attempt(id, read_place(id, place), result, ARGV[at + 3] == "1") end
  end
end
if #over > 0 then
  count.x, count.c = count.x - #over, count.c + #over
  call_many("HDEL", runs_key, runs_over)
  call_many("ZREM", leases_key, over)
  for owner, runs in pairs(let) do let_go(owner, runs) end
  if keep then
    call_many("HSET", places_key, settled)
    call_many("ZADD", finished_key, finished)
    due_at(NOW + limits.retention)
  else forget(over, {}) end
  claims_open = claims_open or limits.concurrency > 0
end
return done(replies)

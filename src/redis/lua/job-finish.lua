-- Ends runs: with results, or as failed attempts.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log line job job-end
-- ARGV for each: run id, 1: completed, result or error (JSON texts), 1: another attempt may follow
-- Reply for each: 1, or null when the run is over

local STRIDE = 4

if not open_job() then return UNOPENED end
settle_time()

local run_ids, ids, index = {}, {}, {}
for at = 1, #ARGV, STRIDE do run_ids[#run_ids + 1] = ARGV[at] end
local owners_of_runs = get_many(runs_key, run_ids)
for i = 1, #run_ids do
  if owners_of_runs[i] then
    ids[#ids + 1] = owners_of_runs[i]
    index[i] = #ids
  end
end
local places = get_many(places_key, ids)

-- Of those that simply complete, what is written at the end.
local over, settled, finished, let = {}, {}, {}, {}

local function complete(id, run, by, failures, rest, result)
  over[#over + 1] = run
  let[by] = (let[by] or 0) + 1
  local n = text(log_head + 1)
  local i = #settled
  settled[i + 1], settled[i + 2] = id, completed_text(rest, n, result)
  finished[i + 1], finished[i + 2] = n, id
  ended[#ended + 1] = id
  happened(id, '"type":"completed","attempt":' .. (failures + 1))
end

local replies, seen = {}, {}
for i = 1, #run_ids do
  local id, at = owners_of_runs[i], (i - 1) * STRIDE + 1
  if not id or seen[id] then replies[i] = false
  else
    seen[id] = true
    replies[i] = 1
    local place, completed, result = places[index[i]], ARGV[at + 1] == "1", ARGV[at + 2]
    local run, by, failures, rest = read_plain_run(place)
    if completed and run then complete(id, run, by, failures, rest, result)
    elseif completed then settle(id, read_place(place), "c", "", result)
    else fail_attempt(id, read_place(place), result, ARGV[at + 3] == "1") end
  end
end
count.x, count.c = count.x - #over, count.c + #over
call_many("HDEL", runs_key, over)
call_many("HSET", places_key, settled)
call_many("ZADD", finished_key, finished)
if #over > 0 then
  local gone = {}
  for i = 1, #settled, 2 do gone[#gone + 1] = settled[i] end
  call_many("ZREM", leases_key, gone)
  for owner, runs in pairs(let) do let_go(owner, runs) end
  due_at(NOW + limits.retention)
  claims_open = claims_open or limits.concurrency > 0
end
return done(replies)

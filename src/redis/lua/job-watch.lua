-- Tells of runs that are over: why.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV for each: run id, id of the job, wait (ms, 0: none), id of the call
-- Reply for each: {1, error as JSON text}, or {0}: it is not over

local STRIDE = 4

if not open_job() then return UNOPENED end
settle_time()

local function cause_of_loss(id)
  local p = place_of(id)
  if not p then return '{"message":"the job is not known any more","code":"UNKNOWN_JOB"}' end
  if p.at == "z" then return p.error ~= "" and p.error or '{"message":"the job was cancelled","code":"CANCELLED"}' end
  if string.find(p.error, '"code":"TIMEOUT"', 1, true) then return p.error end
  return '{"message":"the job was taken from this run","code":"LOST"}'
end

local runs, replies, waits, leaves = {}, {}, {}, {}
for at = 1, #ARGV, STRIDE do runs[#runs + 1] = ARGV[at] end
for i, goes_on in ipairs(get_many(runs_key, runs)) do
  local at = (i - 1) * STRIDE + 1
  local wait_ms, call = tonumber(ARGV[at + 2]), ARGV[at + 3]
  replies[i] = goes_on and {0} or {1, cause_of_loss(ARGV[at + 1])}
  if goes_on and wait_ms > 0 then
    waits[#waits + 1] = text(NOW + wait_ms)
    waits[#waits + 1] = call
  else leaves[#leaves + 1] = call end
end
call_many("ZADD", waiters_key, waits)
call_many("ZREM", waiters_key, leaves)
return done(replies)

-- What jobs came to.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV for each: id, wait (ms, 0: none), id of the call
-- Reply for each: {1, {status, finished at, result, error as JSON}}, {1, {null, now}}: it is not known, or {0}: not yet

local STRIDE = 3

if not open_job() then return UNOPENED end
settle_time()

local replies = {}
for i = 1, #ARGV / STRIDE do
  local at = (i - 1) * STRIDE + 1
  local id, wait_ms, call = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local p = place_of(id)
  if p and not DONE[p.at] then
    replies[i] = {0}
    if wait_ms > 0 then
      park(call, wait_ms)
      redis.call("SADD", awaited_key, id)
    else unpark(call) end
  else
    unpark(call)
    replies[i] = {1, p and {STATUS[p.at], p.due_at, p.at == "c" and p.result or false, p.error} or {false, NOW}}
  end
end
return done(replies)

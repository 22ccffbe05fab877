-- Back to the line, as if they had not been tried; their steps are kept.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log line job job-end
-- ARGV 1: all that failed, ids
-- Reply how many

if not open_job() then return UNOPENED end
settle_time()

local ids, seen, retried = {}, {}, 0
if ARGV[1] == "1" then ids = redis.call("ZRANGE", failed_key, 0, -1)
else
  for i = 2, #ARGV do ids[i - 1] = ARGV[i] end
end
for _, id in ipairs(ids) do
  local p = not seen[id] and place_of(id)
  seen[id] = true
  if p and p.at == "f" then
    change(id, p, with(p, {at = "r", failures = 0, crashes = 0, error = "", order = take_number(), ready_at = NOW}))
    if p.flags % 2 == 1 then
      -- Its key may be over, and is its own again unless another job has it.
      local r = record_of(id)
      if not key_holder(r.key) then put_key(r.key, id, NOW + tonumber(r.key_ttl)) end
    end
    happened(id, '"type":"submitted"')
    retried = retried + 1
  end
end
return done(retried)

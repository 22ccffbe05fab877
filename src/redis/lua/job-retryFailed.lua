-- Back to the line, as if they had not been tried; their steps are kept.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV 1: all that failed, with numbers after this one, up to this one ("": the last there is); ids
-- Reply {how many; where there are more: the number of the last, and up to which}

local BATCH = 500

if not open_job() then return UNOPENED end
settle_time()

local ids, seen, retried, up_to, last = {}, {}, 0, ARGV[3], nil
if ARGV[1] == "1" then
  if up_to == "" then up_to = text(next_number) end
  ids = redis.call("ZRANGEBYSCORE", failed_key, "(" .. ARGV[2], up_to, "LIMIT", 0, BATCH)
  if #ids == BATCH then last = redis.call("ZSCORE", failed_key, ids[BATCH]) end
else
  for i = 4, #ARGV do ids[i - 3] = ARGV[i] end
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
return done({retried, last, up_to})

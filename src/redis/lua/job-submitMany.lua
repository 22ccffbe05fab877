-- Submits jobs, all or none.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end job-submit
-- ARGV for each: id, record without its numbers, priority, delay, time (-1: none), key, its ttl, ordering key
-- Reply for each: null, or the id of the job that its key names

local STRIDE = 8

if not open_job() then return UNOPENED end

local ids, replies, accepted, seen, first_of_key, new_keys = {}, {}, {}, {}, {}, 0
for at = 1, #ARGV, STRIDE do ids[#ids + 1] = ARGV[at] end
local known = get_many(jobs_key, ids)
for i, id in ipairs(ids) do
  local at = (i - 1) * STRIDE + 1
  local key = ARGV[at + 5]
  replies[i] = false
  -- Those known were sent again after a lost reply.
  if not known[i] and not seen[id] then
    local holder = key ~= "" and (key_holder(key) or first_of_key[key])
    if holder then replies[i] = holder ~= id and holder
    else
      seen[id] = true
      accepted[#accepted + 1] = at
      if key ~= "" then
        first_of_key[key] = id
        new_keys = new_keys + 1
      end
    end
  end
end
if new_keys > 0 and redis.call("HLEN", keys_key) + new_keys > MAX_KEYS then
  return {err = "TL CAPACITY keys " .. text(MAX_KEYS)}
end
for _, at in ipairs(accepted) do
  if ARGV[at + 5] ~= "" then put_key(ARGV[at + 5], ARGV[at], NOW + tonumber(ARGV[at + 6])) end
  add_job(at)
end
write_jobs()
return done(replies)

-- Submits jobs, each on its own.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log line job job-end
-- ARGV for each: id, record without its numbers, bytes, priority, delay, time (-1: none), key, its ttl, ordering key
-- Reply for each: null, or the id of the job that its key names; or its error

local STRIDE = 9
local PAYLOAD_BYTES, MAX_KEYS = 131072, 1000000

if not open_job() then return UNOPENED end

local ids, replies, accepted, new_in_script = {}, {}, {}, {}
for at = 1, #ARGV, STRIDE do ids[#ids + 1] = ARGV[at] end
local known = get_many(jobs_key, ids)

local function judge(i, at)
  local id, key = ARGV[at], ARGV[at + 6]
  if tonumber(ARGV[at + 2]) > PAYLOAD_BYTES then
    return {err = "TL TOO_LARGE " .. PAYLOAD_BYTES .. " " .. ARGV[at + 2]}
  end
  -- Sent again after a lost reply.
  if known[i] or new_in_script[id] then return false end
  if key ~= "" then
    local holder = key_holder(key)
    if holder then return holder ~= id and holder end
    if redis.call("HLEN", keys_key) >= MAX_KEYS then return {err = "TL CAPACITY keys " .. text(MAX_KEYS)} end
    put_key(key, id, NOW + tonumber(ARGV[at + 7]))
  end
  new_in_script[id] = true
  accepted[#accepted + 1] = at
  return false
end

for i = 1, #ids do replies[i] = judge(i, (i - 1) * STRIDE + 1) end
enter_jobs(accepted)
return done(replies)

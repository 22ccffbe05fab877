-- Submits jobs, each on its own.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters fences
-- PRELUDE waiters owners log line job job-end
-- ARGV for each: id, record without its numbers, bytes, priority, delay, time (-1: none), key, its ttl, ordering key, scheduler that
-- submits and its epoch, or ""
-- Reply for each: null, or the id of the job that its key names; or its error

local STRIDE = 11
local PAYLOAD_BYTES, MAX_KEYS = 131072, 1000000

if not open_job() then return UNOPENED end

local ids, replies, accepted, new_in_script = {}, {}, {}, {}
for at = 1, #ARGV, STRIDE do ids[#ids + 1] = ARGV[at] end
local known = get_many(jobs_key, ids)

-- Who has led a scheduler since has submitted under a higher epoch.
local function is_late(by, epoch)
  local seen = tonumber(redis.call("HGET", fences_key, by) or 0)
  if seen < epoch then redis.call("HSET", fences_key, by, text(epoch)) end
  return seen > epoch
end

local function judge(i, at)
  local id, key = ARGV[at], ARGV[at + 6]
  if tonumber(ARGV[at + 2]) > PAYLOAD_BYTES then
    return {err = "TL TOO_LARGE " .. PAYLOAD_BYTES .. " " .. ARGV[at + 2]}
  end
  if ARGV[at + 9] ~= "" and is_late(ARGV[at + 9], tonumber(ARGV[at + 10])) then
    return {err = "TL FENCED another process leads the scheduler by now"}
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

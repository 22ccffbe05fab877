-- Submits jobs, each on its own.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters fences
-- PRELUDE waiters owners log job line job-move job-end job-submit
-- ARGV for each: id, record without its numbers, priority, delay, time (-1: none), key, its ttl, ordering key; the scheduler
--      that submits, or "", and its epoch
-- Reply for each: null, or the id of the job that its key names; or its error

local STRIDE = 10

if not open_job() then return UNOPENED end

local ids, replies, seen = {}, {}, {}
for at = 1, #ARGV, STRIDE do ids[#ids + 1] = ARGV[at] end
local known = get_many(jobs_key, ids)

-- Who has led a scheduler since has submitted under a higher epoch.
local function is_late(by, epoch)
  local highest = tonumber(redis.call("HGET", fences_key, by) or 0)
  if highest < epoch then redis.call("HSET", fences_key, by, text(epoch)) end
  return highest > epoch
end

local function submit(i, at)
  local id, key = ARGV[at], ARGV[at + 5]
  if ARGV[at + 8] ~= "" and is_late(ARGV[at + 8], tonumber(ARGV[at + 9])) then
    return {err = "TL FENCED another process leads the scheduler by now"}
  end
  -- Sent again after a lost reply.
  if known[i] or seen[id] then return false end
  if key ~= "" then
    local holder = key_holder(key)
    if holder then return holder ~= id and holder end
    if redis.call("HLEN", keys_key) >= MAX_KEYS then return {err = "TL CAPACITY keys " .. text(MAX_KEYS)} end
    put_key(key, id, NOW + tonumber(ARGV[at + 6]))
  end
  seen[id] = true
  add_job(at)
  return false
end

for i = 1, #ids do replies[i] = submit(i, (i - 1) * STRIDE + 1) end
write_jobs()
return done(replies)

-- A job definition on Redis: its jobs, and where they stand.
--
--   jobs       hash   id → record, which never changes (read_record)
--   places     hash   id → place (read_place); none: where it was submitted to
--   order      zset   id by seq; but for those that have no place, and stand plainly in `ready` (is_plain)
--   due        zset   seq and id of what waits for a time: delayed, retry, parked, kept
--   leases     zset   id of what runs, by the end of its lease or of its attempt
--   runs       hash   run id → id: running, or asleep and not taken by anyone else
--   kept       zset   handle, due time, seq, id: due, and for a moment there for the handle in which it slept alone
--   steps      hash   id/index → step id as JSON, "\n", "s" result or "z" end of the sleep
--   progress   hash   id → progress, its JSON text as JSON
--   finished   zset   id by n, the number of its last event;  failed, cancelled  zset  id by seq
--   keys       hash   key → "untilAt id";  keysByEnd  zset
--   awaited    set    ids that somebody joins, or joined
--   workers, producers  zset   process/handle by the time when it is taken for dead
--
-- In `meta`: how many jobs there are at each place, by its letter (read_place), and `nextJob`, read by open_job and written
-- by flush: a script ends with `return done(reply)`.

local SWEEP = 100
local DEFAULT_PRIORITY = 5
local MAX_EVENTS = 50000
local KEPT_MS = 1000
-- A finished job is not forgotten for its number before those who wait for it could ask.
local TOLD_WITHIN_MS = 2000
local HANDLE_MS = 50000
local FORGET_HANDLE_MS = 3600000

local STATUS = {r = "submitted", d = "delayed", x = "running", p = "parked", k = "parked", t = "retry", c = "completed", f = "failed", z = "cancelled"}
local DONE = {c = true, f = true, z = true}
-- Holds its ordering key.
local HOLDS = {x = true, p = true, k = true, t = true}

-- count: how many jobs there are at each place (read_place); counted, number_before: what `meta` says.
local limits, count, counted
local next_number, number_before
-- What is told at the end: runs that are over, jobs that have ended, that a claim may get something.
local lost, ended, claims_open = {}, {}, false

local function open_job()
  local s = open("globalConcurrency", "maxCrashes", "timeoutMs", "retentionMs", "retentionCount", "paused", "levels",
    "nextJob", "logHead", "logTrimmed", "logOldestAt", "r", "d", "x", "p", "k", "t", "c", "f", "z")
  if not s then return false end
  limits = {concurrency = tonumber(s[1]), crashes = tonumber(s[2]), timeout = tonumber(s[3]), retention = tonumber(s[4]),
    kept = tonumber(s[5]), paused = s[6] == "1", levels = s[7] == "1"}
  next_number = tonumber(s[8]) or 1
  number_before = next_number
  log_open(s[9], s[10], s[11], limits.retention, MAX_EVENTS)
  local r, d, x, p, k, t, c, f, z = unpack(s, 12)
  counted = {r = r, d = d, x = x, p = p, k = k, t = t, c = c, f = f, z = z}
  count = {r = tonumber(r or 0), d = tonumber(d or 0), x = tonumber(x or 0), p = tonumber(p or 0), k = tonumber(k or 0),
    t = tonumber(t or 0), c = tonumber(c or 0), f = tonumber(f or 0), z = tonumber(z or 0)}
  return true
end

local function take_number()
  next_number = next_number + 1
  return next_number - 1
end

-- --- Records and places ----------------------------------------------------------------------------------------------

-- What job.ts leaves out.
local DEFAULT_LEASE_MS = 30000

-- "seq ageFrom logN" before what job.ts adds: "\n" input of one that has nothing but its input. Of one that is delayed,
-- "seq ageFrom:submittedAt logN".
local function record_text(seq, age_from, rest)
  local times = age_from > NOW and text(age_from) .. ":" .. text(NOW) or text(NOW)
  return text(seq) .. " " .. times .. " " .. text(log_head + 1) .. rest
end

-- Of a plain one, with neither key, ordering key nor meta, as most are: seq and lease; else nil.
local function read_plain_record(record)
  local seq = string.match(record, "^(%d+) %d+ %d+\n")
  if seq then return seq, DEFAULT_LEASE_MS end
  return string.match(record, "^(%d+) %d+ %d+ (%d+) %d 0 0 %-1 ")
end

local function read_record(record)
  local seq, age_from, submitted_at, log_n, head, at = string.match(record, "^(%d+) (%d+):?(%d*) (%d+)([^\n]*)\n()")
  local lease, priority, key_length, order_length, meta_length, max_attempts, backoff, base, longest, jitter, key_ttl =
    string.match(head, "^ (%d+) (%d) (%d+) (%d+) (%-?%d+) (%d+) (%a+) (%d+) (%d+) (%S+) (%d+)$")
  local r = {seq = tonumber(seq), age_from = tonumber(age_from), log_n = tonumber(log_n),
    submitted_at = tonumber(submitted_at ~= "" and submitted_at or age_from), lease = tonumber(lease or DEFAULT_LEASE_MS),
    priority = tonumber(priority or DEFAULT_PRIORITY), max_attempts = tonumber(max_attempts or 1),
    backoff = backoff or "none", base = base, longest = longest, jitter = jitter, key_ttl = key_ttl}
  local function take(length)
    at = at + length
    return string.sub(record, at - length, at - 1)
  end
  if lease then
    if key_length ~= "0" then r.key = take(key_length) end
    if order_length ~= "0" then r.order_key = take(order_length) end
    if meta_length ~= "-1" then r.meta = take(meta_length) end
  end
  r.input = string.sub(record, at)
  return r
end

local function record_of(id) return read_record(redis.call("HGET", jobs_key, id)) end

-- Whether the job, where it was submitted to, is found in `ready` by its number.
local function is_plain(r)
  return r.priority == DEFAULT_PRIORITY and not r.order_key and r.age_from == r.submitted_at
end

-- Where it was submitted to. listed: whether `order` has it.
local function first_place(r)
  return {at = r.age_from > r.submitted_at and "d" or "r", flags = (r.key and 1 or 0) + (r.order_key and 2 or 0),
    priority = r.priority, seq = r.seq, failures = 0, crashes = 0, claimed_at = 0, steps = 0, order = r.seq,
    ready_at = r.age_from, due_at = r.age_from, deadline = 0, left = 0, lease = r.lease, run = "-", handle = "-",
    by = "-", resumes = "-", error = "", result = "", listed = not is_plain(r)}
end

-- flags: 1 has a key, 2 an ordering key. order: in line; of one that is done, n. due_at: when it goes on, its lease ends,
-- or, done, ended. left: of the time limit of a run that sleeps.
local function place_text(p)
  return string.format("%s %d %d %d %d %d %d %d %d %s %s %d %d %d %d %d %d %s %s\n", p.at, p.flags, p.steps, #p.error,
    p.priority, p.seq, p.failures, p.crashes, p.claimed_at, p.run, p.by, p.due_at, p.order, p.ready_at, p.deadline,
    p.left, p.lease, p.handle, p.resumes) .. p.error .. p.result
end

-- Most are short: the rest is in the record.

-- The first run of a job with a plain record: "X run by handle claimedAt due", and its deadline if it has one. What
-- stands behind the run is the same for all that are claimed together.
local function first_run_rest(by, handle, due, deadline)
  local rest = " " .. by .. " " .. handle .. " " .. text(NOW) .. " " .. text(due)
  return deadline > 0 and rest .. " " .. text(deadline) or rest
end

local function first_run_owner(place) return string.match(place, "^X %S+ (%S+)") end

-- What it came to. n: of its last event.
local function first_result_text(ended_at, n, result) return "C " .. ended_at .. " " .. n .. "\n" .. result end

-- SELDOM
local function read_short_place(id, place)
  local p = first_place(record_of(id))
  p.listed = true
  local run, by, handle, claimed_at, due, deadline = string.match(place, "^X (%S+) (%S+) (%S+) (%d+) (%d+) ?(%d*)")
  if run then
    p.at, p.run, p.by, p.handle = "x", run, by, handle
    p.claimed_at, p.due_at, p.deadline = tonumber(claimed_at), tonumber(due), tonumber(deadline) or 0
  else
    local ended_at, n, at = string.match(place, "^C (%d+) (%d+)\n()")
    p.at, p.due_at, p.order, p.ready_at, p.result = "c", tonumber(ended_at), tonumber(n), 0, string.sub(place, at)
  end
  return p
end

local function read_place(id, place)
  local at, flags, steps, error_length, priority, seq, failures, crashes, claimed_at, run, by, due, order, ready_at,
    deadline, left, lease, handle, resumes, from = string.match(place, "^(%l) (%d) (%d+) (%d+) (%d) (%d+) (%d+) (%d+) "
    .. "(%d+) (%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+)\n()")
  if not at then return read_short_place(id, place) end
  return {at = at, flags = tonumber(flags), priority = tonumber(priority), seq = tonumber(seq),
    failures = tonumber(failures), crashes = tonumber(crashes), claimed_at = tonumber(claimed_at),
    steps = tonumber(steps), order = tonumber(order), ready_at = tonumber(ready_at), due_at = tonumber(due),
    deadline = tonumber(deadline), left = tonumber(left), lease = tonumber(lease), run = run, handle = handle, by = by,
    resumes = resumes, error = string.sub(place, from, from + error_length - 1),
    result = string.sub(place, from + error_length), listed = true}
end

-- Steps of one that is done, and when it ended.
local function read_end(place)
  local ended_at = string.match(place, "^C (%d+)")
  if ended_at then return 0, tonumber(ended_at) end
  local steps, at = string.match(place, "^%l %d (%d+) %d+ %d %d+ %d+ %d+ %d+ %S+ %S+ (%d+)")
  return tonumber(steps), tonumber(at)
end

-- nil: there is no such job.
local function place_of(id)
  local place = redis.call("HGET", places_key, id)
  if place then return read_place(id, place) end
  local record = redis.call("HGET", jobs_key, id)
  return record and first_place(read_record(record))
end

-- The job of a run, and its place; nil: the run is over.
local function job_of(run)
  local id = redis.call("HGET", runs_key, run)
  if id then return id, place_of(id) end
end

-- As it stands in line (prelude-line.lua).
local function line_item(id, p)
  p = p or place_of(id)
  return {seq = p.seq, priority = p.priority, order = p.order, key = p.flags >= 2 and record_of(id).order_key}
end

-- A copy that differs.
local function with(p, changes)
  local copy = {}
  for name, value in pairs(p) do copy[name] = value end
  for name, value in pairs(changes) do copy[name] = value end
  return copy
end

-- --- Events, and the end of a script ---------------------------------------------------------------------------------

local function happened(id, fragment)
  log_append("job.happened", nil, '"jobId":"', id, '",', fragment)
end

local function claimable()
  if limits.paused or (limits.concurrency > 0 and count.x >= limits.concurrency) then return false end
  return count.r + count.k > 0
end

-- Who waits, and may have an answer now.
local function wake_lanes()
  if not (claims_open and claimable()) then claims_open = false end
  if not claims_open and #lost + #ended == 0 then return end
  if redis.call("ZCARD", waiters_key) == 0 then return end
  local lanes = lost
  if claims_open then lanes[#lanes + 1] = "claim" end
  if #ended > 0 and redis.call("SCARD", awaited_key) > 0 then
    for i, id in ipairs(ended) do
      if redis.call("SISMEMBER", awaited_key, id) == 1 then lanes[#lanes + 1] = id end
    end
  end
  if #lanes > 0 then redis.call("PUBLISH", meta_key, "wake " .. table.concat(lanes, " ")) end
end

local function flush()
  local fields = log_fields()
  for at, number in pairs(count) do
    if number ~= tonumber(counted[at] or 0) then
      fields[#fields + 1] = at
      fields[#fields + 1] = text(number)
    end
  end
  if next_number ~= number_before then
    fields[#fields + 1] = "nextJob"
    fields[#fields + 1] = text(next_number)
  end
  if #fields > 0 then redis.call("HSET", meta_key, unpack(fields)) end
  wake_lanes()
end

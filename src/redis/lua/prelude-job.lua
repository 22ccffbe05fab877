-- A job definition on Redis: its jobs, and where they stand.
--
--   jobs       hash   id → record, which never changes (read_record)
--   places     hash   id → place (read_place); none: where it was submitted to
--   order      zset   id by seq
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
-- What stands in `meta` of these is read by open_job and written by flush: a script ends with `return done(reply)`.

local SWEEP = 100
local MAX_EVENTS = 50000
local KEPT_MS = 1000
-- A finished job is not forgotten for its number before those who wait for it could ask.
local TOLD_WITHIN_MS = 2000
local HANDLE_MS, FORGET_HANDLE_MS = 150000, 3600000

local LETTERS = {"r", "d", "x", "p", "k", "t", "c", "f", "z"}
local STATUS = {r = "submitted", d = "delayed", x = "running", p = "parked", k = "parked", t = "retry", c = "completed",
  f = "failed", z = "cancelled"}
local DONE = {c = true, f = true, z = true}
-- Holds its ordering key.
local HOLDS = {x = true, p = true, k = true, t = true}

local limits, count = {}, {}
local next_number, counts_text, number_before
-- What is told at the end: runs that are over, jobs that have ended, that a claim may get something.
local lost, ended, claims_open = {}, {}, false

local function open_job()
  local s = open("globalConcurrency", "maxCrashes", "timeoutMs", "retentionMs", "retentionCount", "paused", "levels",
    "counts", "nextJob", "logHead", "logTrimmed", "logOldestAt")
  if not s then return false end
  limits.concurrency, limits.crashes, limits.timeout = tonumber(s[1]), tonumber(s[2]), tonumber(s[3])
  limits.retention, limits.kept, limits.paused, limits.levels = tonumber(s[4]), tonumber(s[5]), s[6] == "1", s[7] == "1"
  counts_text = s[8] or "0 0 0 0 0 0 0 0 0"
  local i = 0
  for number in string.gmatch(counts_text, "%d+") do
    i = i + 1
    count[LETTERS[i]] = tonumber(number)
  end
  next_number = tonumber(s[9]) or 1
  number_before = next_number
  log_open(s[10], s[11], s[12], limits.retention, MAX_EVENTS)
  return true
end

local function take_number()
  next_number = next_number + 1
  return next_number - 1
end

-- In chunks that `unpack` can take.
local function call_many(command, key, values)
  for from = 1, #values, 3000 do redis.call(command, key, unpack(values, from, math.min(from + 2999, #values))) end
end

local function get_many(key, fields)
  if #fields <= 3000 then return #fields == 0 and {} or redis.call("HMGET", key, unpack(fields)) end
  local values = {}
  for from = 1, #fields, 3000 do
    for _, value in ipairs(redis.call("HMGET", key, unpack(fields, from, math.min(from + 2999, #fields)))) do
      values[#values + 1] = value
    end
  end
  return values
end

-- --- Records and places ----------------------------------------------------------------------------------------------

-- "seq ageFrom submittedAt logN" before what job.ts adds.
local function read_record(record)
  local seq, age_from, submitted_at, log_n, lease, priority, key_length, order_length, meta_length, max_attempts,
    backoff, base, longest, jitter, key_ttl, at = string.match(record, "^(%d+) (%d+) (%d+) (%d+) (%d+) (%d) (%d+) (%d+) "
    .. "(%-?%d+) (%d+) (%a+) (%d+) (%d+) (%S+) (%d+)\n()")
  local r = {seq = tonumber(seq), submitted_at = tonumber(submitted_at), age_from = tonumber(age_from), log_n = log_n,
    max_attempts = tonumber(max_attempts), backoff = backoff, base = base, longest = longest, jitter = jitter,
    lease = tonumber(lease), key_ttl = key_ttl, priority = tonumber(priority)}
  if key_length ~= "0" then
    r.key = string.sub(record, at, at + key_length - 1)
    at = at + key_length
  end
  if order_length ~= "0" then
    r.order_key = string.sub(record, at, at + order_length - 1)
    at = at + order_length
  end
  if meta_length ~= "-1" then
    r.meta = string.sub(record, at, at + meta_length - 1)
    at = at + meta_length
  end
  r.input = string.sub(record, at)
  return r
end

-- Of one with neither key, ordering key nor meta, as most are: seq, age from, lease, priority (texts), input; else nil.
local function read_plain_record(record)
  local seq, age_from, lease, priority, at =
    string.match(record, "^(%d+) (%d+) %d+ %d+ (%d+) (%d) 0 0 %-1 [^\n]*\n()")
  if seq then return seq, age_from, lease, priority, string.sub(record, at) end
end

local function record_of(id) return read_record(redis.call("HGET", jobs_key, id)) end

-- Where it was submitted to.
local function first_place(r)
  return {at = r.age_from > r.submitted_at and "d" or "r", flags = (r.key and 1 or 0) + (r.order_key and 2 or 0),
    priority = r.priority, seq = r.seq, failures = 0, crashes = 0, claimed_at = 0, steps = 0, order = r.seq,
    ready_at = r.age_from, due_at = r.age_from, deadline = 0, left = 0, lease = r.lease, run = "-", handle = "-",
    by = "-", resumes = "-", error = "", result = ""}
end

-- flags: 1 has a key, 2 an ordering key. order: in line; of one that is done, n. due_at: when it goes on, its lease ends,
-- or, done, ended. left: of the time limit of a run that sleeps.
local function read_place(place)
  local at, flags, steps, error_length, priority, seq, failures, crashes, claimed_at, run, by, due, order, ready_at,
    deadline, left, lease, handle, resumes, from = string.match(place, "^(%a) (%d) (%d+) (%d+) (%d) (%d+) (%d+) (%d+) "
    .. "(%d+) (%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+)\n()")
  return {at = at, flags = tonumber(flags), priority = tonumber(priority), seq = tonumber(seq),
    failures = tonumber(failures), crashes = tonumber(crashes), claimed_at = tonumber(claimed_at),
    steps = tonumber(steps), order = tonumber(order), ready_at = tonumber(ready_at), due_at = tonumber(due),
    deadline = tonumber(deadline), left = tonumber(left), lease = tonumber(lease), run = run, handle = handle, by = by,
    resumes = resumes, error = string.sub(place, from, from + error_length - 1),
    result = string.sub(place, from + error_length)}
end

local function place_text(p)
  return string.format("%s %d %d %d %d %d %d %d %d %s %s %d %d %d %d %d %d %s %s\n", p.at, p.flags, p.steps, #p.error,
    p.priority, p.seq, p.failures, p.crashes, p.claimed_at, p.run, p.by, p.due_at, p.order, p.ready_at, p.deadline,
    p.left, p.lease, p.handle, p.resumes) .. p.error .. p.result
end

-- The same in the most frequent cases, of texts.

-- A first run, of a record that is plain.
local function first_run_text(seq, age_from, lease, priority, now, due, deadline, run, handle, by)
  return "x 0 0 0 " .. priority .. " " .. seq .. " 0 0 " .. now .. " " .. run .. " " .. by .. " " .. due .. " " .. seq
    .. " " .. age_from .. " " .. deadline .. " 0 " .. lease .. " " .. handle .. " -\n"
end

-- Of a run without keys, steps and an earlier error: what stays the same of it, failures, process; else nil.
local function read_plain_run(place)
  return string.match(place, "^x 0 0 0 (%d %d+ (%d+) %d+ %d+) %S+ (%S+) ")
end

local function completed_text(rest, now, n, result)
  return "c 0 0 0 " .. rest .. " - - " .. now .. " " .. n .. " 0 0 0 0 - -\n" .. result
end

-- Steps of one that is done, and when it ended.
local function read_end(place)
  return string.match(place, "^%a %d (%d+) %d+ %d %d+ %d+ %d+ %d+ %S+ %S+ (%d+)")
end

-- nil: there is no such job.
local function place_of(id)
  local place = redis.call("HGET", places_key, id)
  if place then return read_place(place) end
  local record = redis.call("HGET", jobs_key, id)
  return record and first_place(read_record(record))
end

-- The job of a run, and its place; nil: the run is over.
local function job_of(run)
  local id = redis.call("HGET", runs_key, run)
  if id then return id, place_of(id) end
end

line_item = function(id)
  local p = place_of(id)
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
  log_append("job.happened", '"jobId":"' .. id .. '",' .. fragment, id)
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
  local fields = {}
  local numbers = {}
  for i, letter in ipairs(LETTERS) do numbers[i] = count[letter] end
  local counts = table.concat(numbers, " ")
  if counts ~= counts_text then fields = {"counts", counts} end
  if next_number ~= number_before then
    fields[#fields + 1] = "nextJob"
    fields[#fields + 1] = text(next_number)
  end
  if #fields > 0 then redis.call("HSET", meta_key, unpack(fields)) end
  log_save()
  wake_lanes()
end

-- --- Moving a job ----------------------------------------------------------------------------------------------------

local function due_member(id, seq) return string.format("%016.0f", seq) .. id end

local function kept_member(id, p)
  return p.handle .. " " .. string.format("%016.0f%016.0f", p.due_at, p.seq) .. id
end

-- When a run ends by itself.
local function run_end(p) return p.deadline > 0 and math.min(p.due_at, p.deadline) or p.due_at end

local function leave(id, p)
  local at = p.at
  if at == "x" then
    redis.call("ZREM", leases_key, id)
    let_go(p.by, 1)
    -- Its slot is free.
    claims_open = claims_open or limits.concurrency > 0
  elseif DONE[at] then
    redis.call("ZREM", finished_key, id)
    if at == "f" then redis.call("ZREM", failed_key, id) elseif at == "z" then redis.call("ZREM", cancelled_key, id) end
  elseif at ~= "r" then
    redis.call("ZREM", due_key, due_member(id, p.seq))
    if at == "k" then redis.call("ZREM", kept_key, kept_member(id, p)) end
  end
end

local function enter(id, p)
  local at = p.at
  if p.run ~= "-" then redis.call("HSET", runs_key, p.run, id) end
  if at == "x" then
    redis.call("ZADD", leases_key, text(run_end(p)), id)
    hold(p.by, 1)
    due_at(run_end(p))
  elseif DONE[at] then
    redis.call("ZADD", finished_key, text(p.order), id)
    if at == "f" then redis.call("ZADD", failed_key, text(p.seq), id)
    elseif at == "z" then redis.call("ZADD", cancelled_key, text(p.seq), id) end
    ended[#ended + 1] = id
    due_at(NOW + limits.retention)
  elseif at == "r" then claims_open = true
  else
    redis.call("ZADD", due_key, text(p.due_at), due_member(id, p.seq))
    due_at(p.due_at)
    if at == "k" then
      redis.call("ZADD", kept_key, 0, kept_member(id, p))
      claims_open = true
    end
  end
end

local function in_line(at) return at == "r" and "line" or (HOLDS[at] and "holds" or false) end

-- From one place to another, in everything that finds it.
local function change(id, from, to)
  count[from.at] = count[from.at] - 1
  count[to.at] = count[to.at] + 1
  if from.run ~= "-" and from.run ~= to.run then
    redis.call("HDEL", runs_key, from.run)
    lost[#lost + 1] = from.run
  end
  leave(id, from)
  redis.call("HSET", places_key, id, place_text(to))
  enter(id, to)
  local was, is = in_line(from.at), in_line(to.at)
  if was == is and was ~= "line" then return end
  local key = to.flags >= 2 and record_of(id).order_key
  if not key and was ~= "line" and is ~= "line" then return end
  line_move(id, {seq = to.seq, priority = to.priority, order = to.order, key = key}, was, is)
  -- Another of its key may go on.
  if key and is ~= "holds" then claims_open = true end
end

-- A running one shows a sign of life. Never earlier: a longer lease may have been asked for.
local function extend_lease(id, p, by_ms)
  local until_at = NOW + by_ms + p.lease
  if until_at <= p.due_at then return p end
  local to = with(p, {due_at = until_at})
  redis.call("HSET", places_key, id, place_text(to))
  redis.call("ZADD", leases_key, text(run_end(to)), id)
  return to
end

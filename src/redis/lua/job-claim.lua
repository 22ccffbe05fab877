-- Claims jobs for each of several calls, in order.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV for each: run id, handle, at most so many, wait (ms, 0: none), process, id of the call
-- Reply for each: {1, runs}, or {0}. A run: {id, record} of a first one of a plain record, else {id, input, attempt, lease,
--        key, meta, run that it goes on with, steps}

local STRIDE = 6

if not open_job() then return UNOPENED end
settle_time()

local function waits_since(id) return place_of(id).ready_at end

local function described(id, r, p)
  -- Who goes on knows them.
  local steps = p.resumes == "-" and stored_steps(id, p.steps) or {}
  return {id, r.input, p.failures + 1, p.lease, r.key or false, r.meta or false, p.resumes ~= "-" and p.resumes or false,
    steps}
end

-- What a call took that is sent again after a lost reply.
local function again(name, max)
  local found = {}
  while #found < max do
    local id, p = job_of(name(#found))
    if not id or p.at ~= "x" then break end
    found[#found + 1] = described(id, record_of(id), p)
  end
  return found
end

-- Those that are next for a handle, out of the line.
local function take(handle, max)
  if limits.paused then return {} end
  if limits.concurrency > 0 then max = math.min(max, limits.concurrency - count.x) end
  if max <= 0 then return {} end
  local ids = {}
  if count.k > 0 then
    local kept = redis.call("ZRANGEBYLEX", kept_key, "[" .. handle .. " ", "(" .. handle .. "!", "LIMIT", 0, max)
    for i, member in ipairs(kept) do ids[i] = string.sub(member, #handle + 34) end
  end
  if count.r == 0 then return ids end
  for _, id in ipairs(take_ready(max - #ids, limits.levels, waits_since)) do ids[#ids + 1] = id end
  return ids
end

-- Out of a place that is not its first, or with keys.
-- SELDOM
local function start(id, r, p, run, handle, owner)
  if p.at == "k" then
    redis.call("ZREM", due_key, due_member(id, p.seq))
    redis.call("ZREM", kept_key, kept_member(id, p))
    p.order, p.ready_at = take_number(), NOW
    count.k, count.r = count.k - 1, count.r + 1
  end
  p.resumes = "-"
  local bound = limits.timeout
  if p.run ~= "-" then
    if p.handle == handle and p.by == owner then
      p.resumes = p.run
      if p.left > 0 then bound = p.left end
    end
    redis.call("HDEL", runs_key, p.run)
    lost[#lost + 1] = p.run
  end
  if r.order_key then hold_lane(id, {seq = p.seq, key = r.order_key}) end
  p.at, p.run, p.handle, p.by, p.left = "x", run, handle, owner, 0
  p.due_at, p.deadline, p.claimed_at, p.lease = NOW + r.lease, bound > 0 and NOW + bound or 0, NOW, r.lease
  return p
end

-- What is the same of all first runs of plain records with one lease.
local function first_run(lease, handle, owner)
  local due, deadline = NOW + lease, limits.timeout > 0 and NOW + limits.timeout or 0
  local ends_at = deadline > 0 and math.min(deadline, due) or due
  return {rest = first_run_rest(owner, handle, due, deadline), ends_at = ends_at, ends_text = text(ends_at)}
end

local function begin(ids, name, handle, owner)
  local found, places, runs, leases, orders, first_end = {}, {}, {}, {}, {}, NEVER
  local was = get_many(places_key, ids)
  local by_lease = {}
  for i, record in ipairs(get_many(jobs_key, ids)) do
    local id, n, run, fragment = ids[i], 2 * i, name(i - 1), '"type":"started","attempt":1'
    local seq, lease
    if not was[i] then seq, lease = read_plain_record(record) end
    if seq then
      local same = by_lease[lease] or first_run(lease, handle, owner)
      by_lease[lease], first_end = same, math.min(first_end, same.ends_at)
      places[n], leases[n - 1] = "X " .. run .. same.rest, same.ends_text
      found[i] = {id, record}
    else
      local r = read_record(record)
      local p = start(id, r, was[i] and read_place(id, was[i]) or first_place(r), run, handle, owner)
      seq = text(r.seq)
      places[n], leases[n - 1] = place_text(p), text(run_end(p))
      first_end = math.min(first_end, run_end(p))
      found[i] = described(id, r, p)
      fragment = '"type":"started","attempt":' .. p.failures + 1
    end
    places[n - 1], leases[n] = id, id
    runs[n - 1], runs[n] = run, id
    if not was[i] then
      orders[#orders + 1] = seq
      orders[#orders + 1] = id
    end
    happened(id, fragment)
  end
  count.r, count.x = count.r - #ids, count.x + #ids
  call_many("HSET", places_key, places)
  call_many("ZADD", order_key, orders)
  call_many("ZADD", leases_key, leases)
  call_many("HSET", runs_key, runs)
  hold(owner, #ids)
  due_at(first_end)
  return found
end

local replies = {}
for i = 1, #ARGV / STRIDE do
  local at = (i - 1) * STRIDE + 1
  local run, handle, max, wait_ms, owner, call = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    ARGV[at + 4], ARGV[at + 5]
  -- job.ts does the same.
  local function name(n) return max == 1 and run or run .. "." .. n end
  local found = redis.call("HEXISTS", runs_key, name(0)) == 1 and again(name, max) or {}
  if #found == 0 then
    -- It is there: it is not registered by this, so that one that has left stays away.
    redis.call("ZADD", workers_key, "XX", text(REAL + HANDLE_MS), owner .. "/" .. handle)
    local ids = take(handle, max)
    if #ids > 0 then found = begin(ids, name, handle, owner) end
  end
  if #found > 0 then
    unpark(call)
    replies[i] = {1, found}
  else
    if wait_ms > 0 then park(call, wait_ms) else unpark(call) end
    replies[i] = {0}
  end
end
return done(replies)

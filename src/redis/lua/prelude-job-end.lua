-- How attempts and jobs end, and what time brings. Needs: prelude-job-move.lua and its keys.

local function step_fields(id, steps)
  local fields = {}
  for i = 1, steps do fields[i] = id .. "/" .. (i - 1) end
  return fields
end

local function drop_steps(id, steps)
  if steps > 0 then call_many("HDEL", steps_key, step_fields(id, steps)) end
end

-- Finished steps in order: {index, step id as JSON, 1: a sleep, result or end}.
local function stored_steps(id, steps)
  local found = {}
  if steps == 0 then return found end
  for i, stored in ipairs(get_many(steps_key, step_fields(id, steps))) do
    if stored then
      local step_id, kind, value = string.match(stored, "^([^\n]*)\n(.)(.*)$")
      found[#found + 1] = {i - 1, step_id, kind == "z" and 1 or 0, value}
    end
  end
  return found
end

-- Stores what is not yet stored; returns whether it was not.
local function put_step(id, p, index, stored)
  if redis.call("HSETNX", steps_key, id .. "/" .. text(index), stored) == 0 then return false end
  if index >= p.steps then redis.call("HSET", places_key, id, place_text(with(p, {steps = index + 1}))) end
  return true
end

-- --- Keys ------------------------------------------------------------------------------------------------------------

local function put_key(key, id, until_at)
  redis.call("HSET", keys_key, key, text(until_at) .. " " .. id)
  redis.call("ZADD", keysByEnd_key, text(until_at), key)
  due_at(until_at)
end

local function is_live(id)
  local p = place_of(id)
  return p and not DONE[p.at]
end

-- The job that the key names, or nil.
local function key_holder(key)
  local known = redis.call("HGET", keys_key, key)
  if not known then return nil end
  local until_at, id = string.match(known, "^(%d+) (.+)$")
  if tonumber(until_at) > NOW or is_live(id) then return id end
end

-- A key names its job for its whole time, counted from the last claim: a long delay must not use it up.
local function renew_key(id, p)
  local r = record_of(id)
  local known = redis.call("HGET", keys_key, r.key)
  if not known then return end
  local until_at, holder = string.match(known, "^(%d+) (.+)$")
  if holder ~= id then return end
  -- Put anew in any case: while the job was live, nothing watched for the key's end.
  put_key(r.key, id, math.max(tonumber(until_at), p.claimed_at > 0 and p.claimed_at + r.key_ttl or 0))
end

-- --- Ends ------------------------------------------------------------------------------------------------------------

-- The last change of a job: place, key, event. Whoever held it has lost it.
local function settle(id, p, at, error, result)
  local to = with(p, {at = at, order = log_head + 1, due_at = NOW, run = "-", handle = "-", by = "-", resumes = "-",
    error = error, result = result})
  if at ~= "f" then
    -- What failed may be retried, and then goes on after its last step.
    drop_steps(id, p.steps)
    to.steps = 0
  end
  change(id, p, to)
  if p.flags % 2 == 1 then renew_key(id, p) end
  if at == "c" then happened(id, '"type":"completed","attempt":' .. (p.failures + 1))
  elseif at == "f" then happened(id, '"type":"failed","attempt":' .. p.failures .. ',"error":' .. error) end
end

local function cancel(id, p, reason)
  settle(id, p, "z", reason == "" and "" or '{"message":' .. reason .. ',"code":"CANCELLED"}', "")
  happened(id, '"type":"cancelled"' .. (reason == "" and "" or ',"reason":' .. reason))
end

local LONGEST_MS = 2 ^ 52

local function backoff_ms(r, failures, id)
  if r.backoff == "none" then return 0 end
  local longest = math.min(tonumber(r.longest), LONGEST_MS)
  local ms = tonumber(r.base)
  if r.backoff == "exp" then ms = ms * 2 ^ math.min(failures - 1, 1000) end
  ms = math.min(ms, longest)
  local jitter = tonumber(r.jitter)
  if jitter == 0 then return ms end
  -- The random numbers of scripts are the same at each run.
  local fraction = tonumber(string.sub(redis.sha1hex(id .. "#" .. failures), 1, 8), 16) / 2 ^ 32
  return math.min(longest, math.floor(ms * (1 + jitter * (fraction * 2 - 1))))
end

local NO_RUN = {run = "-", handle = "-", by = "-", resumes = "-"}

-- An attempt that failed: the next one, or the end.
local function fail_attempt(id, p, error, retry)
  local r = record_of(id)
  local tried = with(p, {failures = p.failures + 1, error = error})
  if not retry or tried.failures >= r.max_attempts then
    -- The place that it leaves is the one that is written.
    p.failures = tried.failures
    return settle(id, p, "f", error, "")
  end
  local delay = backoff_ms(r, tried.failures, id)
  local to = with(tried, NO_RUN)
  if delay > 0 then to.at, to.due_at = "t", NOW + delay
  else to.at, to.order, to.ready_at = "r", take_number(), NOW end
  change(id, p, to)
  happened(id, '"type":"retry","attempt":' .. tried.failures .. ',"error":' .. error .. ',"nextAt":' .. text(NOW + delay))
end

-- As if it had not been claimed.
local function give_back(id, p, crashes)
  local to = with(p, NO_RUN)
  to.at, to.crashes = "r", crashes or p.crashes
  change(id, p, to)
end

-- Its owner died: back to where it was, or the end.
local function crash(id, p)
  local crashes = p.crashes + 1
  happened(id, '"type":"crashed","crashes":' .. crashes)
  if crashes <= limits.crashes then return give_back(id, p, crashes) end
  p.crashes = crashes
  settle(id, p, "f", '{"message":"its owner died ' .. crashes .. ' times while it ran","code":"CRASHED"}', "")
end

-- A sleep is over, and it is there for all.
local function awake(id, p, asleep)
  local to = with(p, asleep and {} or NO_RUN)
  to.at, to.order, to.ready_at = "r", take_number(), NOW
  change(id, p, to)
end

-- First it is kept for the handler that slept, if it is known to live.
local function wake_up(id, p)
  if p.at == "p" and p.run ~= "-" then
    local alive_until = redis.call("ZSCORE", workers_key, p.by .. "/" .. p.handle)
    if alive_until and tonumber(alive_until) > REAL then
      return change(id, p, with(p, {at = "k", due_at = NOW + KEPT_MS}))
    end
    return awake(id, p, false)
  end
  awake(id, p, p.run ~= "-")
end

-- Takes a job from its run; nothing is counted.
local function hand_back(id, p)
  if p.at == "x" then give_back(id, p)
  elseif p.at == "k" then awake(id, p, false)
  elseif p.at == "r" or p.at == "p" then change(id, p, with(p, NO_RUN)) end
end

-- --- What time brings --------------------------------------------------------------------------------------------------

local FREE_PAGE = 500

local function forget(ids, steps)
  call_many("HDEL", jobs_key, ids)
  call_many("HDEL", places_key, ids)
  call_many("HDEL", progress_key, ids)
  call_many("HDEL", steps_key, steps)
  call_many("ZREM", order_key, ids)
  call_many("ZREM", finished_key, ids)
  local failed, cancelled = 0, 0
  if count.f > 0 then failed = redis.call("ZREM", failed_key, unpack(ids)) end
  if count.z > 0 then cancelled = redis.call("ZREM", cancelled_key, unpack(ids)) end
  count.f, count.z, count.c = count.f - failed, count.z - cancelled, count.c - (#ids - failed - cancelled)
  redis.call("SREM", awaited_key, unpack(ids))
end

-- Forgets finished jobs that are too old or too many, up to so many. Returns whether there is more, and the next time.
local function forget_finished(limit)
  local over = count.c + count.f + count.z - limits.kept
  local oldest = redis.call("ZRANGE", finished_key, 0, limit - 1)
  if #oldest == 0 then return false, NEVER end
  local awaited = redis.call("SCARD", awaited_key) > 0
  -- Nothing of them need be known: only what failed has steps.
  if #oldest <= over and not awaited and count.f == 0 then
    forget(oldest, {})
    return #oldest == limit, NEVER
  end
  local gone, gone_steps, next_at = {}, {}, NEVER
  for i, place in ipairs(get_many(places_key, oldest)) do
    local steps, ended_at = read_end(place)
    local id = oldest[i]
    local ends_at = i <= over and ended_at or ended_at + limits.retention
    if awaited and ended_at + TOLD_WITHIN_MS > NOW and redis.call("SISMEMBER", awaited_key, id) == 1 then
      ends_at = math.max(ends_at, ended_at + TOLD_WITHIN_MS)
    end
    if ends_at <= NOW then
      gone[#gone + 1] = id
      for _, field in ipairs(step_fields(id, steps)) do gone_steps[#gone_steps + 1] = field end
    else
      next_at = math.min(next_at, ends_at)
      if i > over then break end
    end
  end
  if #gone > 0 then forget(gone, gone_steps) end
  return #gone == limit, next_at
end

local function timeout_of(p)
  if p.due_at <= NOW then return '{"message":"no sign of life for ' .. text(p.lease) .. ' ms","code":"TIMEOUT"}' end
  return '{"message":"the attempt took longer than timeoutMs","code":"TIMEOUT"}'
end

-- Forgets the handles of these processes, or those that are silent for very long.
local function forget_handles(of)
  for _, key in ipairs({workers_key, producers_key}) do
    local handles = of and redis.call("ZRANGE", key, 0, -1)
      or redis.call("ZRANGEBYSCORE", key, "-inf", text(REAL - FORGET_HANDLE_MS))
    for _, handle in ipairs(handles) do
      if not of or of[string.match(handle, "^[^/]*")] then redis.call("ZREM", key, handle) end
    end
  end
end

-- Frees what dead processes ran: of a page of all that runs. Returns whether there is more. Between pages what runs may
-- move, and one be passed over: then it is gone through again, until nothing is found.
-- SELDOM
local function free_dead()
  local dead = dead_owners(20)
  if #dead == 0 then return false end
  local is_dead, found = {}, {}
  for _, owner in ipairs(dead) do is_dead[owner] = true end
  forget_handles(is_dead)
  local progress = redis.call("HMGET", meta_key, "deadFrom", "deadFound")
  local from, freed = tonumber(progress[1]) or 0, tonumber(progress[2]) or 0
  local running = redis.call("ZRANGE", leases_key, from, from + FREE_PAGE - 1)
  for i, place in ipairs(get_many(places_key, running)) do
    local p = read_place(running[i], place)
    if is_dead[p.by] then found[#found + 1] = {id = running[i], place = p} end
  end
  table.sort(found, function(a, b) return a.place.seq < b.place.seq end)
  for _, one in ipairs(found) do crash(one.id, one.place) end
  if #running == FREE_PAGE then
    redis.call("HSET", meta_key, "deadFrom", from + FREE_PAGE - #found, "deadFound", freed + #found)
    return true
  end
  redis.call("HDEL", meta_key, "deadFrom", "deadFound")
  if from > 0 and freed + #found > 0 then return true end
  for _, owner in ipairs(dead) do
    redis.call("HDEL", held_key, owner)
    redis.call("ZREM", owners_key, owner)
  end
  return #dead == 20
end

-- What has ended by itself, in its order, a batch of it; and whether there is more.
local function overdue_ends()
  local found, more, up_to = {}, false, NEVER
  for _, key in ipairs({due_key, leases_key}) do
    local over = redis.call("ZRANGEBYSCORE", key, "-inf", text(NOW), "WITHSCORES", "LIMIT", 0, SWEEP)
    for i = 1, #over, 2 do
      local id = key == due_key and string.sub(over[i], 17) or over[i]
      found[#found + 1] = {at = tonumber(over[i + 1]), id = id, place = place_of(id)}
    end
    if #over == 2 * SWEEP then
      more = true
      up_to = math.min(up_to, tonumber(over[#over]))
    end
  end
  table.sort(found, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.place.seq < b.place.seq
  end)
  -- Of what is not in the batch nothing ended before that.
  while #found > 0 and found[#found].at > up_to do found[#found] = nil end
  return found, more
end

-- Does what time has brought, a batch of it. Returns whether there is more.
-- SELDOM
local function sweep()
  -- First, so that what ends now is told before it is forgotten.
  local more, forget_at = forget_finished(SWEEP)
  local over = overdue(keysByEnd_key, SWEEP)
  for _, key in ipairs(over) do
    local id = string.match(redis.call("HGET", keys_key, key), "^%d+ (.+)$")
    -- Of a live job it is not over: it is put anew when the job is done.
    if not is_live(id) then redis.call("HDEL", keys_key, key) end
    redis.call("ZREM", keysByEnd_key, key)
  end
  more = more or #over == SWEEP
  local ends, more_ends = overdue_ends()
  for _, one in ipairs(ends) do
    local id, p = one.id, one.place
    if p.at == "x" then fail_attempt(id, p, timeout_of(p), true)
    elseif p.at == "p" or p.at == "k" then wake_up(id, p)
    else change(id, p, with(p, {at = "r", order = take_number(), ready_at = NOW})) end
  end
  more = free_dead() or more_ends or more
  log_trim()
  forget_handles()
  if #ended > 0 then forget_at = math.min(forget_at, NOW + limits.retention) end
  set_due(more and NOW or math.min(forget_at, first_score(keysByEnd_key), first_score(leases_key), first_score(due_key),
    next_death(), log_due()))
  return more
end

-- In front of commands that look at places: what is due has happened, or, of very much, a good part.
local function settle_time()
  for _ = 1, 10 do
    if DUE > NOW or not sweep() then return end
  end
end

-- The end of every script that opened the instance.
local function done(reply)
  if #ended > 0 and count.c + count.f + count.z > limits.kept then
    local more, next_at = forget_finished(math.min(1000, count.c + count.f + count.z - limits.kept))
    if more and count.c + count.f + count.z > limits.kept then next_at = NOW end
    if next_at < NEVER then due_at(next_at) end
  end
  flush()
  return reply
end

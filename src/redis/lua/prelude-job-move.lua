-- From one place to another. Needs: prelude-job.lua, prelude-line.lua and their keys.

local function due_member(id, seq) return string.format("%016d", seq) .. id end

local function kept_member(id, p)
  return p.handle .. " " .. string.format("%016d%016d", p.due_at, p.seq) .. id
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

-- In everything that finds it.
local function change(id, from, to)
  count[from.at] = count[from.at] - 1
  count[to.at] = count[to.at] + 1
  if from.run ~= "-" and from.run ~= to.run then
    redis.call("HDEL", runs_key, from.run)
    lost[#lost + 1] = from.run
  end
  if not from.listed then redis.call("ZADD", order_key, text(from.seq), id) end
  leave(id, from)
  redis.call("HSET", places_key, id, place_text(to))
  enter(id, to)
  local was, is = in_line(from.at), in_line(to.at)
  if was == is and was ~= "line" then return end
  local item = line_item(id, to)
  line_move(id, item, was, is)
  -- Another of its key may go on.
  if item.key and is ~= "holds" then claims_open = true end
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

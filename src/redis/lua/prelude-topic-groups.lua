-- Groups of a topic. Each has a number, by which its deliveries are found.
--
--   groups      hash   name → "gid position", and once it was told of a loss " deliveryId after firstAvailable": what
--                      that claim was told, for its reply may be lost
--   deliveries  hash   delivery id → "gid n attempt since idle owner": what was not committed
--   slots       zset   every delivery by (gid, n): "gid:n:id", padded
--   idle        zset   likewise, those that anyone may take over
--   deadlines   zset   the other ones: delivery id by when it becomes idle
--   byOwner     zset   the other ones: "owner:id"
--
-- What a script does with deliveries is collected here, and written by flush() at the end.

local SWEEP = 200

local put = {deliveries = {}, slots = {}, idle = {}, deadlines = {}, byOwner = {}}
local cut = {deliveries = {}, slots = {}, idle = {}, deadlines = {}, byOwner = {}}
local held_more, groups = {}, {}
local first_deadline = NEVER

local function push(list, a, b)
  list[#list + 1] = a
  if b then list[#list + 1] = b end
end

local function write_set(name, key)
  call_many("ZREM", key, cut[name])
  call_many("ZADD", key, put[name])
  cut[name], put[name] = {}, {}
end

local function flush()
  call_many("HDEL", deliveries_key, cut.deliveries)
  call_many("HSET", deliveries_key, put.deliveries)
  cut.deliveries, put.deliveries = {}, {}
  write_set("slots", slots_key)
  write_set("idle", idle_key)
  write_set("deadlines", deadlines_key)
  write_set("byOwner", byOwner_key)
  for owner, more in pairs(held_more) do
    if more > 0 then hold(owner, more) elseif more < 0 then let_go(owner, -more) end
  end
  held_more = {}
  if first_deadline < NEVER then due_at(first_deadline) end
  first_deadline = NEVER
  local changed = {}
  for name, group in pairs(groups) do
    if group and group.changed then
      local told = group.told and " " .. group.told.id .. " " .. text(group.told.after) .. " " .. text(group.told.available)
      push(changed, name, group.gid .. " " .. text(group.position) .. (told or ""))
      group.changed = false
    end
  end
  call_many("HSET", groups_key, changed)
end

-- --- Deliveries ----------------------------------------------------------------------------------------------------

local function slot_of(d) return string.format("%010d:%016d:%s", d.gid, d.n, d.id) end
local function owned(d) return d.owner .. ":" .. d.id end

local function read_delivery(id, record)
  local gid, n, attempt, since, idle, owner = string.match(record, "^(%d+) (%d+) (%-?%d+) (%d+) (%d) (%S+)$")
  return {id = id, gid = gid, n = tonumber(n), attempt = tonumber(attempt), since = tonumber(since), idle = idle == "1",
    owner = owner}
end

-- Those that are there, by their ids.
local function deliveries_of(ids)
  local found = {}
  for i, record in ipairs(get_many(deliveries_key, ids)) do
    if record then found[ids[i]] = read_delivery(ids[i], record) end
  end
  return found
end

local function put_delivery(d)
  push(put.deliveries, d.id,
    d.gid .. " " .. text(d.n) .. " " .. d.attempt .. " " .. text(d.since) .. " " .. (d.idle and 1 or 0) .. " " .. d.owner)
end

local function watch(d)
  local deadline = d.since + limits.reclaim
  push(put.deadlines, text(deadline), d.id)
  first_deadline = math.min(first_deadline, deadline)
end

local function own(d)
  watch(d)
  push(put.byOwner, 0, owned(d))
  held_more[d.owner] = (held_more[d.owner] or 0) + 1
end

local function disown(d)
  push(cut.deadlines, d.id)
  push(cut.byOwner, owned(d))
  held_more[d.owner] = (held_more[d.owner] or 0) - 1
end

local function start(d)
  put_delivery(d)
  push(put.slots, 0, slot_of(d))
  own(d)
end

local function forget(d)
  push(cut.deliveries, d.id)
  push(cut.slots, slot_of(d))
  if d.idle then push(cut.idle, slot_of(d)) else disown(d) end
end

local function make_idle(d, attempt)
  if not d.idle then
    disown(d)
    push(put.idle, 0, slot_of(d))
  end
  d.idle, d.attempt = true, attempt
  put_delivery(d)
end

local function touch(d)
  d.since = NOW
  if d.idle then
    d.idle = false
    push(cut.idle, slot_of(d))
    own(d)
  else
    watch(d)
  end
  put_delivery(d)
end

-- --- Groups --------------------------------------------------------------------------------------------------------

-- The group of a name, or nil.
local function find_group(name)
  if groups[name] == nil then
    local record = redis.call("HGET", groups_key, name)
    groups[name] = false
    if record then
      local gid, position, told, after, available = string.match(record, "^(%d+) (%d+) ?(%S*) ?(%d*) ?(%d*)$")
      groups[name] = {gid = gid, position = tonumber(position)}
      if told ~= "" then groups[name].told = {id = told, after = tonumber(after), available = tonumber(available)} end
    end
  end
  return groups[name] or nil
end

-- A page of a set of slots: deliveries of a group after a member (nil: from the first), by number, and the last member.
local function page_of(key, gid, after, count)
  local prefix = string.format("%010d", gid)
  local members = redis.call("ZRANGEBYLEX", key, after and "(" .. after or "[" .. prefix .. ":", "(" .. prefix .. ";",
    "LIMIT", 0, count)
  local ids, page = {}, {}
  for i, member in ipairs(members) do ids[i] = string.sub(member, 29) end
  local found = deliveries_of(ids)
  for _, id in ipairs(ids) do page[#page + 1] = found[id] end
  return page, members[#members]
end

-- The delivery of this id in this group.
local function in_group(found, group, id)
  local d = found[id]
  if group and d and d.gid == group.gid then return d end
  return nil
end

local function event_at(n)
  local found = redis.call("XRANGE", events_key, text(n) .. "-0", text(n) .. "-0")
  return found[1] and found[1][2][2]
end

local function id_of(id, index, max)
  if max == 1 then return id end
  return id .. "." .. index
end

-- What an earlier run of a claim took, its reply was lost: {event, delivery id, attempt}.
local function taken_before(group, id, max)
  local ids = {}
  for i = 1, max do ids[i] = id_of(id, i - 1, max) end
  local found, taken = deliveries_of(ids), {}
  for i = 1, max do
    local d = in_group(found, group, ids[i])
    local event = d and d.n > log_trimmed and event_at(d.n)
    if not event then break end
    taken[i] = {event, d.id, d.attempt}
  end
  return taken
end

local function take_over(d, id, owner)
  forget(d)
  start({id = id, gid = d.gid, n = d.n, attempt = d.attempt + 1, since = NOW, idle = false, owner = owner})
end

-- --- Time ----------------------------------------------------------------------------------------------------------

local function free_dead_owner(owner)
  local members = redis.call("ZRANGEBYLEX", byOwner_key, "[" .. owner .. ":", "(" .. owner .. ";", "LIMIT", 0, SWEEP)
  local ids = {}
  for i, member in ipairs(members) do ids[i] = string.sub(member, #owner + 2) end
  for _, d in pairs(deliveries_of(ids)) do make_idle(d, d.attempt) end
  flush()
  if #members == SWEEP then return true end
  redis.call("HDEL", held_key, owner)
  redis.call("ZREM", owners_key, owner)
  return false
end

-- Does what time has brought, a batch of it. Returns whether there is more.
local function sweep()
  local due = overdue(deadlines_key, SWEEP)
  for _, d in pairs(deliveries_of(due)) do make_idle(d, d.attempt) end
  flush()
  local more = #due == SWEEP
  local dead = dead_owners(10)
  for _, owner in ipairs(dead) do more = free_dead_owner(owner) or more end
  if #due + #dead > 0 then wake() end
  log_trim()
  more = forget_keys(ID_KEYS_BATCH) or more or #dead == 10
  set_due(more and NOW or math.min(first_score(deadlines_key), next_death(), log_due()))
  return more
end

-- In front of commands that look at deliveries: what is due has happened, or, of very much, a good part.
local function settle_time()
  log_trim()
  for _ = 1, 10 do
    if DUE > NOW or not sweep() then return end
  end
end

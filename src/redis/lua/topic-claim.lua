-- Claims events for each of several calls, in order: first what is idle, then what is new.
-- KEYS meta events idKeys idKeysByN groups deliveries slots idle deadlines byOwner owners held waiters
-- PRELUDE waiters owners log topic topic-groups
-- ARGV for each: group, delivery id, at most so many, wait (ms, 0: none), process, id of the call
-- Reply for each: {1, {generation, deliveries as {event, delivery id, attempt}; of what was lost: the number before it,
--       the place before the first that is left}}, or {0}: nothing

local STRIDE = 6

if not open_topic() then return UNOPENED end
settle_time()

local wanted, first_ids = 0, {}
for at = 1, #ARGV, STRIDE do
  wanted = wanted + tonumber(ARGV[at + 2])
  first_ids[#first_ids + 1] = id_of(ARGV[at + 1], 0, tonumber(ARGV[at + 2]))
end
local sent_again = deliveries_of(first_ids)

-- A group begins at what is retained when its first reader comes.
local function group_of(name)
  local group = find_group(name)
  if not group then
    group = {gid = text(take_numbers(1)), position = log_trimmed, changed = true}
    groups[name] = group
  end
  return group
end

local function next_idle(group)
  if not group.idle or (group.idle_at > #group.idle and group.last_idle) then
    group.idle, group.last_idle = page_of(idle_key, group.gid, group.last_idle, 100)
    group.idle_at = 1
  end
  return group.idle[group.idle_at]
end

local function next_new(group)
  if not group.page or (group.page_at > #group.page and #group.page > 0) then
    group.page = redis.call("XRANGE", events_key, text(group.position + 1) .. "-0", "+", "COUNT", math.min(wanted, 100))
    group.page_at = 1
  end
  local entry = group.page[group.page_at]
  if not entry then return nil end
  group.page_at = group.page_at + 1
  return tonumber(string.match(entry[1], "^%d+")), entry[2][2]
end

-- What this group lost of what it had not committed; said once, to one claim.
local function tell_loss(group, id)
  if group.told and group.told.id == id then return group.told end
  local first = NEVER
  -- Idle deliveries whose event is gone can never be delivered again.
  while true do
    local d = next_idle(group)
    if not d or d.n > log_trimmed then break end
    first = math.min(first, d.n)
    forget(d)
    group.idle_at = group.idle_at + 1
  end
  if group.position < log_trimmed then
    first = math.min(first, group.position + 1)
    group.position = log_trimmed
  end
  -- Another claim came: whoever was told before has got it.
  if first < NEVER or group.told then
    group.told = first < NEVER and {id = id, after = first - 1, available = log_trimmed} or nil
    group.changed = true
  end
  return group.told
end

local function take(group, id, max, owner)
  local taken = {}
  while #taken < max do
    local d = next_idle(group)
    if not d then break end
    group.idle_at = group.idle_at + 1
    local event, new_id = event_at(d.n), id_of(id, #taken, max)
    if event then
      take_over(d, new_id, owner)
      taken[#taken + 1] = {event, new_id, d.attempt + 1}
    else
      forget(d)
    end
  end
  while #taken < max do
    local n, event = next_new(group)
    if not n then break end
    group.position, group.changed = n, true
    -- The clock may have been set back: what stands behind a younger one may be too old.
    if log_published_at(event) + limits.retention >= NOW then
      local new_id = id_of(id, #taken, max)
      start({id = new_id, gid = group.gid, n = n, attempt = 1, since = NOW, idle = false, owner = owner})
      taken[#taken + 1] = {event, new_id, 1}
    end
  end
  return taken
end

-- Of a claim that is sent again: deliveries whose events are gone are still to be told as lost, under other ids.
local function set_aside(group, id, max)
  local ids = {}
  for i = 1, max do ids[i] = id_of(id, i - 1, max) end
  for _, d in pairs(deliveries_of(ids)) do
    if in_group({[d.id] = d}, group, d.id) then
      forget(d)
      d.id = d.id .. "'"
      put_delivery(d)
      push(put.slots, 0, slot_of(d))
      if d.idle then push(put.idle, 0, slot_of(d)) else own(d) end
    end
  end
end

local replies, answered = {}, {}
for i = 1, #ARGV / STRIDE do
  local at = (i - 1) * STRIDE + 1
  local id, max, wait_ms = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local group = group_of(ARGV[at])
  local before = in_group(sent_again, group, id_of(id, 0, max))
  local taken = before and taken_before(group, id, max) or {}
  if before and #taken == 0 then set_aside(group, id, max) end
  local lost = #taken == 0 and tell_loss(group, id) or nil
  if #taken == 0 and not lost then taken = take(group, id, max, ARGV[at + 4]) end
  local served = #taken > 0 or lost
  replies[i] = served and {1, {SEED, taken, lost and lost.after, lost and lost.available}} or {0}
  if not served and wait_ms > 0 then park(ARGV[at + 5], wait_ms) else push(answered, ARGV[at + 5]) end
end
flush()
call_many("ZREM", waiters_key, answered)
return replies

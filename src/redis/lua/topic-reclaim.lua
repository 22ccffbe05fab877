-- Takes over what is idle, or was delivered or touched so long ago, lowest number first.
-- KEYS meta events idKeys idKeysByN groups deliveries slots idle deadlines byOwner owners held waiters
-- PRELUDE waiters owners log topic topic-groups
-- ARGV group, delivery id, so long ago (ms), at most so many, process
-- Reply {generation, deliveries as {event, delivery id, attempt}}

if not open_topic() then return UNOPENED end
settle_time()

local id, min_idle, count = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local group = find_group(ARGV[1])
if not group then return {SEED, {}} end
local taken = taken_before(group, id, count)
if #taken > 0 then return {SEED, taken} end
local page, last
repeat
  page, last = page_of(slots_key, group.gid, last, SWEEP)
  for _, d in ipairs(page) do
    if #taken < count and (d.idle or NOW - d.since >= min_idle) and d.n > log_trimmed then
      local event, new_id = event_at(d.n), id_of(id, #taken, count)
      if event then
        take_over(d, new_id, ARGV[5])
        taken[#taken + 1] = {event, new_id, d.attempt + 1}
      end
    end
  end
until not last or #taken == count
flush()
return {SEED, taken}

-- Jobs in order of submission.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end job-look
-- ARGV at most so many, after this number, status ("": any)
-- Reply {jobs as job-get.lua shows them, number of the last when there are more}

-- So few are found through where they stand; of more, some come soon when all jobs are gone through.
local FEW = 1000
local PAGE = 500

if not open_job() then return UNOPENED end
settle_time()

local limit, after, status = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local WHERE = {running = leases_key, failed = failed_key, cancelled = cancelled_key, completed = finished_key,
  parked = due_key, retry = due_key, delayed = due_key}
local found = {}

-- Of a job that has a number in `numbers`, only under that.
local function look(ids, numbers)
  for i, place in ipairs(get_many(places_key, ids)) do
    local p = place and read_place(ids[i], place) or place_of(ids[i])
    local is_asked = p and p.seq > after and (status == "" or STATUS[p.at] == status)
    if is_asked and (not numbers or numbers[i] == p.seq) then found[#found + 1] = {p.seq, ids[i]} end
  end
end

-- Those after a number, by their numbers, from both sets in which they are; and up to where these are all.
local function page_after(number)
  local by_number, up_to = {}, NEVER
  for set, first in pairs({[order_key] = 0, [ready_key] = plain_place(0)}) do
    local page = redis.call("ZRANGEBYSCORE", set, "(" .. text(first + number), "(" .. text(first + LEVEL), "WITHSCORES",
      "LIMIT", 0, PAGE)
    for i = 1, #page, 2 do by_number[page[i + 1] - first] = page[i] end
    if #page == 2 * PAGE then up_to = math.min(up_to, page[#page] - first) end
  end
  return by_number, up_to
end

local function look_at_all()
  local up_to = after
  repeat
    local by_number, ids, numbers = {}, {}, {}
    by_number, up_to = page_after(up_to)
    for number in pairs(by_number) do
      if number <= up_to then numbers[#numbers + 1] = number end
    end
    table.sort(numbers)
    for i, number in ipairs(numbers) do ids[i] = by_number[number] end
    look(ids, numbers)
  until up_to == NEVER or #found > limit
end

local where = WHERE[status]
if where and redis.call("ZCARD", where) <= FEW then
  local ids = redis.call("ZRANGE", where, 0, -1)
  if where == due_key then
    for i, member in ipairs(ids) do ids[i] = string.sub(member, 17) end
  end
  look(ids)
  table.sort(found, function(a, b) return a[1] < b[1] end)
else look_at_all() end
local entries = {}
for i = 1, math.min(limit, #found) do entries[i] = described_in_full(found[i][2]) end
return done({entries, #found > limit and text(found[limit][1]) or false})

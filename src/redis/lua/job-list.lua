-- Jobs in order of submission.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log line job job-end job-look
-- ARGV at most so many, after this number, status ("": any)
-- Reply {jobs as job-get.lua shows them, number of the last when there are more}

-- So few are found through where they stand; of more, some come soon when all jobs are gone through.
local FEW = 1000

if not open_job() then return UNOPENED end
settle_time()

local limit, after, status = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local WHERE = {running = leases_key, failed = failed_key, cancelled = cancelled_key, completed = finished_key,
  parked = due_key, retry = due_key, delayed = due_key}
local found = {}

local function look(ids)
  for i, place in ipairs(get_many(places_key, ids)) do
    local p = place and read_place(place) or place_of(ids[i])
    if p and p.seq > after and (status == "" or STATUS[p.at] == status) then found[#found + 1] = {p.seq, ids[i]} end
  end
end

local where = WHERE[status]
if where and redis.call("ZCARD", where) <= FEW then
  local ids = redis.call("ZRANGE", where, 0, -1)
  if where == due_key then
    for i, member in ipairs(ids) do ids[i] = string.sub(member, 17) end
  end
  look(ids)
  table.sort(found, function(a, b) return a[1] < b[1] end)
else
  local from = after
  while #found <= limit do
    local page = redis.call("ZRANGEBYSCORE", order_key, "(" .. text(from), "+inf", "WITHSCORES", "LIMIT", 0, 500)
    if #page == 0 then break end
    local ids = {}
    for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
    from = tonumber(page[#page])
    look(ids)
  end
end
local entries = {}
for i = 1, math.min(limit, #found) do entries[i] = described_in_full(found[i][2]) end
return done({entries, #found > limit and text(found[limit][1]) or false})

-- Jobs as they come. Needs: prelude-line.lua, prelude-job.lua and their keys.

local MAX_KEYS = 1000000

-- Of those that add_plain has added: what is to be written.
local records, places = {}, {}

-- One that may begin now, without an ordering key, of the default priority.
local function add_plain(id, rest)
  local seq, i = take_number(), #records
  records[i + 1], records[i + 2] = id, record_text(seq, NOW, rest)
  places[i + 1], places[i + 2] = text(plain_place(seq)), id
  happened(id, '"type":"submitted"')
end

-- SELDOM
local function add_special(id, rest, priority, starts_at, lane)
  local seq = take_number()
  if priority ~= DEFAULT_PRIORITY and not limits.levels then
    limits.levels = true
    redis.call("HSET", meta_key, "levels", 1)
  end
  -- Before it stands in line: who stands for its key is looked up.
  redis.call("HSET", jobs_key, id, record_text(seq, math.max(NOW, starts_at), rest))
  redis.call("ZADD", order_key, text(seq), id)
  if starts_at > NOW then
    redis.call("ZADD", due_key, text(starts_at), due_member(id, seq))
    due_at(starts_at)
    count.d = count.d + 1
  else
    line_move(id, {seq = seq, priority = priority, order = seq, key = lane ~= "" and lane}, false, "line")
    count.r, claims_open = count.r + 1, true
  end
  happened(id, '"type":"submitted"')
end

-- One that was accepted, by where its arguments begin (job-submit.lua).
local function add_job(at)
  local id, rest, priority, starts_at, lane = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 4]), ARGV[at + 7]
  if starts_at < 0 then starts_at = NOW + tonumber(ARGV[at + 3]) end
  if lane == "" and priority == DEFAULT_PRIORITY and starts_at <= NOW then
    add_plain(id, rest)
    count.r, claims_open = count.r + 1, true
  else add_special(id, rest, priority, starts_at, lane) end
end

local function write_jobs()
  call_many("HSET", jobs_key, records)
  call_many("ZADD", ready_key, places)
end

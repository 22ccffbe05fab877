-- Events of a job after a number.
-- KEYS meta jobs places order ready lanes blocked due leases runs kept steps progress keys keysByEnd finished failed cancelled awaited workers producers owners held events waiters
-- PRELUDE waiters owners log job line job-move job-end
-- ARGV id, after this number, at most so many
-- Reply as log_read

if not open_job() then return UNOPENED end
settle_time()

-- It begins with its submit, and what is done ends with its last event.
local after, record, p = tonumber(ARGV[2]), redis.call("HGET", jobs_key, ARGV[1]), place_of(ARGV[1])
local first = record and read_record(record).log_n
local last = p and DONE[p.at] and p.order
local wanted = ARGV[1] .. '"'
local function chosen(_, event)
  local at = string.match(event, '"jobId":"()')
  return string.sub(event, at, at + #wanted - 1) == wanted
end
return done(log_read(after, tonumber(ARGV[3]), chosen, first, last or nil))

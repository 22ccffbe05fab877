-- Jobs as they are looked at. Needs: prelude-job-end.lua.

local function described_in_full(id)
  local record = redis.call("HGET", jobs_key, id)
  if not record then return nil end
  local r, p, steps = read_record(record), place_of(id), {}
  for i, step in ipairs(stored_steps(id, p.steps)) do steps[i] = step[2] end
  return {id, STATUS[p.at], r.input, r.submitted_at, r.priority, r.max_attempts, p.failures, p.crashes, steps,
    r.key or false, r.meta or false, r.order_key or false, redis.call("HGET", progress_key, id), p.error,
    p.at ~= "r" and p.due_at or false, p.at == "x" and p.by or false, p.at == "c" and p.result or false}
end

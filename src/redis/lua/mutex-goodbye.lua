-- A process leaves: what it holds is free, and its calls wait no longer.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV process
-- Reply how many locks it held

if not open_mutex() then return UNOPENED end

for _, member in ipairs(redis.call("HVALS", tickets_key)) do
  local ticket = ticket_of(member)
  if ticket.owner == ARGV[1] then leave_line(ticket.id) end
end
local prefix, count = ARGV[1] .. " ", 0
while true do
  local page = redis.call("ZRANGEBYLEX", owned_key, "[" .. prefix, "(" .. ARGV[1] .. "!", "LIMIT", 0, 500)
  for _, member in ipairs(page) do remove_lock(lock_of(string.sub(member, #prefix + 1))) end
  count = count + #page
  if #page < 500 then break end
end
offer_all()
return count

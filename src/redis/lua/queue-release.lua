-- Hands deliveries back: to the place they had, the attempt not counted.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV delivery ids
-- Reply how many

if not open_queue() then return UNOPENED end

local released = 0
for _, id in ipairs(ARGV) do
  local d = held(id)
  if d then
    give_back(d, d.attempts - 1)
    released = released + 1
  end
end
return released

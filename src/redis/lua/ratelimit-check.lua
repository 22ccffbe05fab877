-- Counts calls, each on its own, and says whether they may go on.
-- KEYS meta counters ends
-- PRELUDE ratelimit
-- ARGV for each: identifier, cost (0: only looks)
-- Reply for each: {1: limited, calls that would still pass, milliseconds until it is otherwise}, or its error

if not open_ratelimit() then return UNOPENED end

local replies, counted = {}, 0
for i = 1, #ARGV / 2 do
  local identifier, cost = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  if is_bucket and cost > limit then
    replies[i] = {err = "TL RANGE cost must be at most the limit (" .. limit_text .. "), not " .. ARGV[2 * i]}
  else
    local limited, remaining, reset_in, counter = look(identifier, cost)
    if counter then put_counter(identifier, counter) end
    if cost > 0 then counted = counted + 1 end
    replies[i] = reply_of(limited, remaining, reset_in)
  end
end
if counted > 0 then forget_some(counted) end
return replies

-- Identifiers, and what is left to them.
-- KEYS meta counters ends
-- PRELUDE ratelimit
-- ARGV at most so many
-- Reply {identifier, {1: limited, calls that would still pass, milliseconds until it is otherwise}}

if not open_ratelimit() then return UNOPENED end

local found = {}
for i, identifier in ipairs(redis.call("ZRANGEBYSCORE", ends_key, "(" .. text(NOW), "+inf", "LIMIT", 0, ARGV[1])) do
  local limited, remaining, reset_in = look(identifier, 0)
  found[i] = {identifier, reply_of(limited, remaining, reset_in)}
end
return found

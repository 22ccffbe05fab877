-- Does what time has brought, a batch of it, unless another process does.
-- KEYS meta locks holders resources ends owned line tickets waiters offers offered silent recent
-- PRELUDE mutex
-- ARGV process
-- Reply {1: there is more, milliseconds until something is due or -1}

if not open_mutex() then return UNOPENED end
return sweep_now(ARGV[1], sweep)

-- Does what time has brought, a batch of it, unless another process does.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries
-- ARGV process
-- Reply {1: there is more, milliseconds until something is due or -1}

if not open_entries("registry") then return UNOPENED end

return done(sweep_now(ARGV[1], sweep))

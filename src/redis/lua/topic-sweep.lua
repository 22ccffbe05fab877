-- Does what time has brought, a batch of it, unless another process does.
-- KEYS meta events idKeys idKeysByN groups deliveries slots idle deadlines byOwner owners held waiters
-- PRELUDE waiters owners log topic topic-groups
-- ARGV process
-- Reply {1: there is more, milliseconds until something is due or -1}

if not open_topic() then return UNOPENED end
return sweep_now(ARGV[1], sweep)

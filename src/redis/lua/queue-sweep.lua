-- Does what time has brought, a batch of it, unless another process does.
-- KEYS meta messages states ready delayed leases deliveries lanes blocked dead deadOrder idKeys idKeysByEnd waiters
-- PRELUDE waiters queue line queue-end
-- ARGV process
-- Reply {1: there is more, milliseconds until something is due or -1}

if not open_queue() then return UNOPENED end
return sweep_now(ARGV[1], sweep)

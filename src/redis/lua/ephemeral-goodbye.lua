-- Ends what is bound to a process, which leaves.
-- KEYS meta entries active deadlines bound owners held events
-- PRELUDE owners log entries
-- ARGV process
-- Reply null

if not open_entries("ephemeral") then return UNOPENED end
settle_time()

end_all(bound_to(ARGV[1], -1), "tab_gone")
return done(false)

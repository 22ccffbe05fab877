-- The epoch of the last leader.
-- KEYS meta
-- Reply it, 0 before the first

local settings = open("leaderEpoch")
if not settings then return UNOPENED end
return tonumber(settings[1]) or 0

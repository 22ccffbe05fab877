-- Events after a number.
-- KEYS meta events
-- PRELUDE log
-- ARGV the number, at most so many
-- Reply {head, events; of what was lost: the cursor before it, the first place that is left}

local s = open("logHead", "logTrimmed", "logOldestAt", "retentionMs", "maxLen")
if not s then return UNOPENED end
log_open(unpack(s, 1, 5))

return log_read(tonumber(ARGV[1]), tonumber(ARGV[2]))

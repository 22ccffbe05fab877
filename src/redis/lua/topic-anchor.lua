-- Resolves a place in the log.
-- KEYS meta events
-- PRELUDE log
-- ARGV "start", "now" or "cursor"; of a cursor its generation and number
-- Reply {generation, number; of what was lost: the cursor before it, the first place that is left}

local s = open("logHead", "logTrimmed", "logOldestAt", "retentionMs", "maxLen")
if not s then return UNOPENED end
log_open(unpack(s, 1, 5))

return log_anchor(ARGV[1], ARGV[2], ARGV[3])

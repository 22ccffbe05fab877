-- KEYS meta progress started dead
-- Reply {schedules, handles that have started, dead letters}

if not open() then return UNOPENED end
return {
  redis.call("HLEN", progress_key),
  redis.call("ZCOUNT", started_key, "(" .. text(REAL), "+inf"),
  redis.call("LLEN", dead_key),
}

-- Makes all of several changes, or none.
-- KEYS meta entries active deadlines tombstones forgets events
-- PRELUDE log entries registry
-- ARGV for each: upsert, create, cas or remove, then what prelude-registry.lua says; of a removal, the value is its reason
-- Reply {1, for each: its stamp, or null for a removal}, or {0, number of the first that cannot be (from 0), why}

if not open_entries("registry") then return UNOPENED end
settle_time()

local STRIDE = WRITE + 1
local steps = #ARGV / STRIDE
local function at_of(step) return (step - 1) * STRIDE + 2 end

for step = 1, steps do
  local at = at_of(step)
  local refused = ARGV[at - 1] ~= "remove" and too_large(ARGV[at + 2])
  if refused then return done(refused) end
end

-- What the steps will come to, each seeing those before it: versions by key, false: absent.
local known, newest, added = {}, version, 0
for step = 1, steps do
  local at = at_of(step)
  local op, key = ARGV[at - 1], ARGV[at]
  if known[key] == nil then
    local there = find(key)
    known[key] = there and there.version or false
  end
  local before, after = known[key], false
  if op == "create" and before then return done({0, step - 1, "exists"}) end
  if op == "cas" and before ~= ARGV[at + 5] then return done({0, step - 1, before and "version" or "missing"}) end
  if op ~= "remove" then
    newest = newest + 1
    after = text(newest)
  end
  known[key] = after
  added = added + (after and 1 or 0) - (before and 1 or 0)
end
local refused = full(added)
if refused then return done(refused) end

local stamps = {}
for step = 1, steps do
  local at = at_of(step)
  local op = ARGV[at - 1]
  local there, tombstone = find(ARGV[at])
  if op == "cas" then stamps[step] = replace(at, there)
  elseif op ~= "remove" then stamps[step] = upsert(at, there, tombstone)
  else
    if there then remove(there, ARGV[at + 1]) end
    stamps[step] = false
  end
end
return done({1, stamps})

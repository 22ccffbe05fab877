-- Tries commands on one key that nobody uses, and takes the key away again.
-- KEYS the key
-- ARGV for each command: its name, how many words a call of it has
-- Reply the commands that this user may not run, and "keys" or "channels" when not on these
local refused = {}
for i = 1, #ARGV, 2 do
  local words = {}
  for n = 2, tonumber(ARGV[i + 1]) do words[n - 1] = n == 2 and KEYS[1] or "1" end
  local reply = redis.pcall(ARGV[i], unpack(words))
  local problem = type(reply) == "table" and reply.err
  if problem then
    if problem:find("run the", 1, true) or problem:find("can't run", 1, true) then refused[#refused + 1] = ARGV[i]
    elseif problem:find("channel", 1, true) then refused[#refused + 1] = "channels"
    elseif problem:find("access", 1, true) then refused[#refused + 1] = "keys" end
  end
end
redis.pcall("DEL", KEYS[1])
return refused

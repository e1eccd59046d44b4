-- Every script: KEYS[1] is the prefix of all keys, ARGV[1] the arguments as a JSON object.
-- Times are milliseconds of this server's clock; microseconds would lose digits in Lua's numbers.
local P = KEYS[1]
local a = cjson.decode(ARGV[1])
local time = redis.call('TIME')
-- `shift` moves the clock of a test; nothing else sends it
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + (a.shift or 0)
local DAY_MS, HOUR_MS = 86400000, 3600000

local function int(x) return tonumber(x or 0) or 0 end

-- alerts: those that nobody has said yet; each is given out once, and again to the same token: its reply was lost.
-- args: most token
local stream, ttl = P .. 'alerts', ALERTS_KEPT_MS
local token, from, to = string.match(redis.call('GET', P .. 'alerts:given') or '', '^(%S+) (%S+) (%S+)$')
local rows
if token == a.token then
  rows = redis.call('XRANGE', stream, from, to)
else
  local last = redis.call('GET', P .. 'alerts:said')
  rows = redis.call('XRANGE', stream, last and '(' .. last or '-', '+', 'COUNT', a.most)
  if #rows > 0 then
    local first, latest = rows[1][1], rows[#rows][1]
    redis.call('SET', P .. 'alerts:said', latest, 'PX', ttl)
    redis.call('SET', P .. 'alerts:given', a.token .. ' ' .. first .. ' ' .. latest, 'PX', ttl)
  end
end
local out = {}
for i, row in ipairs(rows) do out[i] = row[2] end
return out

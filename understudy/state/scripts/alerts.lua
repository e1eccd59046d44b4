-- alerts: those that nobody has said yet; each is given out once.
-- args: most
local last = redis.call('GET', P .. 'alerts:said') or '-'
local rows = redis.call('XRANGE', P .. 'alerts', last == '-' and '-' or '(' .. last, '+', 'COUNT', a.most)
if #rows > 0 then redis.call('SET', P .. 'alerts:said', rows[#rows][1], 'PX', ALERTS_KEPT_MS) end
local out = {}
for i, row in ipairs(rows) do out[i] = row[2] end
return out

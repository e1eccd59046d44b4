-- again: one more request to the same provider within the attempt; reports the request before.
-- args: id epoch token rid provider model queue max_requests report money (of a paid provider, see `most`)
local c = load_call(a.id)
local seq = c and int(string.match(a.rid, '%-(%d+)$'))
-- a repeat after a lost reply: the request that follows `rid` was already granted
if c and c.st == 'R' and int(c.epoch) == a.epoch and c.token == a.token and int(c.requests) == seq + 1 then
  return { 'run', 'rid', c.rid, 'gen', c.gen, 'reserved', reserved_of(c) }
end
report(a.id, c, a.report)
if not c or c.st ~= 'R' or int(c.epoch) ~= a.epoch then return { 'lost' } end
if int(c.requests) - int(c.turn_base) >= a.max_requests then return { 'denied', 'why', 'requests' } end
local b = load_breaker(a.provider, a.model)
if not breaker_admits(b) or redis.call('PTTL', P .. 'paused:' .. a.queue) > 0 then
  return { 'denied', 'why', 'breaker' }
end
local short = short_of(c, a.money)
if short then
  set_call(a.id, c, { short = short })
  return { 'denied', 'why', 'budget', 'budget', short }
end
local requests = int(c.requests) + 1
local rid = c.epoch .. '-' .. string.format('%.0f', requests)
set_call(a.id, c, {
  rid = rid, requests = requests, gen = take_permit(b, a.id .. ':' .. rid), rids = (c.rids or '') .. rid .. ' ',
})
return { 'run', 'rid', rid, 'gen', c.gen, 'reserved', reserve(a.id, c, rid, a.money) }

-- renew: a process keeps all its leases and permits, and learns what it has lost.
-- args: leases [[id, epoch, rid, provider, model], …]
-- reply: for each `ok`, `moved` (the lease ran out, nobody began since: an answer still counts), `cancelled`, `lost`
local out = {}
for i, lease in ipairs(a.leases) do
  local id, epoch, key = lease[1], lease[2], call_key(lease[1])
  local got = redis.call('HMGET', key, 'st', 'epoch', 'deadline')
  if not got[1] then
    out[i] = 'lost'
  elseif got[1] == 'X' then
    out[i] = 'cancelled'
  elseif int(got[2]) ~= epoch or got[1] == 'D' or got[1] == 'F' then
    out[i] = 'lost'
  elseif got[1] == 'R' then
    local until_ms = now + LEASE_MS
    redis.call('HSET', key, 'lease', until_ms)
    look_at_running(id, { deadline = got[3] }, until_ms)
    redis.call('ZADD', breaker_key(lease[4], lease[5]) .. ':permits', 'XX', until_ms, id .. ':' .. lease[3])
    out[i] = 'ok'
  else
    out[i] = 'moved'
  end
end
return out

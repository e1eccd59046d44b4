-- beat: a worker that consumes says so.
-- args: id ttl fields {queues concurrency host pid version}
local key = P .. 'worker:' .. a.id
for name, value in pairs(a.fields) do redis.call('HSET', key, name, value) end
redis.call('PEXPIRE', key, a.ttl)
redis.call('ZADD', P .. 'workers', now, a.id)
redis.call('PEXPIRE', P .. 'workers', DAY_MS)
return { 'ok' }

-- job_open: a runner takes a job on, a new one or one that stopped. What an operator asked of it stays, but for the end
-- of an earlier run.
-- args: id runner ttl fields {name owner spend input output, window_wanted and budget_microusd where given}
local key = P .. 'job:' .. a.id
if redis.call('EXISTS', key) == 0 then redis.call('HSET', key, 'created', now) end
if redis.call('HGET', key, 'runner') ~= a.runner then
  if redis.call('HGET', key, 'want') == 'cancel' then redis.call('HDEL', key, 'want', 'who') end
  redis.call('HDEL', key, 'ended', 'why')
  redis.call('HSET', key, 'runner', a.runner, 'state', 'starting', 'started', now)
end
for name, value in pairs(a.fields) do redis.call('HSET', key, name, value) end
return job_beaten(key, a.id, a.ttl)

-- job_beat: a job's runner says how far it is, and hears what an operator wants; the last time, that it is over.
-- args: id runner ttl fields {state why window progress} over
local key = P .. 'job:' .. a.id
local runner = redis.call('HGET', key, 'runner')
if not runner then return { 'missing' } end
if runner ~= a.runner then return { 'replaced' } end
if a.over or redis.call('HEXISTS', key, 'ended') == 0 then
  for name, value in pairs(a.fields) do redis.call('HSET', key, name, value) end
end
if a.over then redis.call('HSETNX', key, 'ended', now) end
return job_beaten(key, a.id, a.ttl)

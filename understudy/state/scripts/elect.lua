-- elect: who may do a job that only one worker does; the right runs out unless it is renewed.
-- args: key me ms
local key = P .. a.key
local holder = redis.call('GET', key)
if holder and holder ~= a.me then return { 'no' } end
redis.call('SET', key, a.me, 'PX', a.ms)
return { 'yes' }

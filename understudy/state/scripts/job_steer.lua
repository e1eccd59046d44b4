-- job_steer: an operator steers a job; its runner hears of it with its next beat. A job without a runner is cancelled
-- at once.
-- args: id lost ttl want (run pause cancel) who audit fields {window_wanted budget_microusd; '' takes one back}
local key = P .. 'job:' .. a.id
local got = redis.call('HMGET', key, 'created', 'ended', 'beat', 'state')
if not got[1] then return { 'missing' } end
if got[2] then return { 'ended', 'state', got[4] } end
if a.want == 'run' then
  redis.call('HDEL', key, 'want', 'who')
elseif a.want then
  redis.call('HSET', key, 'want', a.want, 'who', a.who or '')
end
if a.want == 'cancel' and now - int(got[3]) > a.lost then
  redis.call('HSET', key, 'state', 'cancelled', 'ended', now)
end
for name, value in pairs(a.fields or {}) do
  if value == '' then redis.call('HDEL', key, name) else redis.call('HSET', key, name, value) end
end
redis.call('PEXPIRE', key, a.ttl)
audit(a.audit)
return { 'steered' }

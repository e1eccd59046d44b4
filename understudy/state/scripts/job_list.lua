-- job_list: the jobs that were heard of last, or those asked for; rows of jobs that have expired go.
-- args: limit ids ttl
redis.call('ZREMRANGEBYSCORE', P .. 'jobs', '-inf', now - a.ttl)
local rows = {}
for _, id in ipairs(a.ids or redis.call('ZREVRANGE', P .. 'jobs', 0, a.limit - 1)) do
  local flat = redis.call('HGETALL', P .. 'job:' .. id)
  local row = { id = id }
  for i = 1, #flat, 2 do row[flat[i]] = flat[i + 1] end
  if row.runner then
    row.charged = redis.call('HGET', P .. 'spend:job:' .. id, 'total') or '0'
    rows[#rows + 1] = row
  else
    redis.call('ZREM', P .. 'jobs', id)
  end
end
return { 'rows', 'now', now, 'jobs', #rows > 0 and cjson.encode(rows) or '[]' }

-- job:<id>   hash: one batch job, as its runner tells of it and as operators steer it
-- jobs       sorted set: id -> its last beat

-- A runner was heard: what it has to go by.
local function job_beaten(key, id, ttl)
  redis.call('HSET', key, 'beat', now)
  redis.call('PEXPIRE', key, ttl)
  redis.call('ZADD', P .. 'jobs', now, id)
  redis.call('PEXPIRE', P .. 'jobs', ttl)
  local got = redis.call('HMGET', key, 'want', 'who', 'window_wanted', 'budget_microusd')
  return { 'beaten', 'want', got[1] or '', 'who', got[2] or '', 'window', got[3] or '', 'budget', got[4] or '' }
end

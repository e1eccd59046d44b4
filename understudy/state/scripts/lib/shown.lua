-- What operators are shown.
-- ended                set: reasons for which calls failed; ended:<reason>, sorted set: id -> when
-- fallbacks            stream: id, kind, source, target, why of each call that moved to another provider
-- stat:<minute>        hash: <provider>:ok, <provider>:failed, and times of answers in buckets: <provider>:d:<bucket>,
--                      <provider>:t:<bucket> of their beginnings
-- audit                stream: who, what, why, token of each action of an operator
local ENDED_MAX, FALLBACKS_MAX, AUDIT_MAX = 10000, 1000, 10000
local STAT_MS, STAT_KEPT_MS = 60000, 1200000
local BUCKET_FIRST_MS, BUCKET_GROWTH, BUCKET_LAST = 10, 1.2, 61
-- A command is repeated at once or never: its entry is among the latest ones.
local AUDIT_LOOK = 50

local function list_failed(id, reason)
  local key, causes = P .. 'ended:' .. reason, P .. 'ended'
  redis.call('ZADD', key, now, id)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - DAY_MS)
  redis.call('ZREMRANGEBYRANK', key, 0, -ENDED_MAX - 1)
  redis.call('PEXPIRE', key, DAY_MS)
  redis.call('SADD', causes, reason)
  redis.call('PEXPIRE', causes, DAY_MS)
end

-- A call that failed, and is to run again, is listed no more.
local function unlist_failed(id, c)
  if c.st == 'F' then redis.call('ZREM', P .. 'ended:' .. (c.reason or ''), id) end
end

local function note_fallback(id, kind, source, target, why)
  local key = P .. 'fallbacks'
  redis.call('XADD', key, 'MAXLEN', '~', FALLBACKS_MAX, '*',
    'id', id, 'kind', kind, 'source', source, 'target', target, 'why', why)
  redis.call('PEXPIRE', key, 7 * DAY_MS)
end

local function bucket_of(ms)
  if ms <= BUCKET_FIRST_MS then return 0 end
  -- a hair less, so that a time which is a bucket's bound falls into it
  local bucket = math.ceil(math.log(ms / BUCKET_FIRST_MS) / math.log(BUCKET_GROWTH) - 1e-9)
  return math.min(bucket, BUCKET_LAST)
end

local function count_stat(provider, fields)
  local key, fresh = P .. 'stat:' .. string.format('%.0f', math.floor(now / STAT_MS)), false
  for _, field in ipairs(fields) do
    if redis.call('HINCRBY', key, provider .. ':' .. field, 1) == 1 then fresh = true end
  end
  if fresh then redis.call('PEXPIRE', key, STAT_KEPT_MS) end
end

-- A call that a provider answered. r: its report; without times where the answer was there before.
local function stat_answered(provider, r)
  local fields = { 'ok' }
  if r and r.ms then fields[2] = string.format('d:%d', bucket_of(r.ms)) end
  if r and r.ms and r.first_ms then fields[3] = string.format('t:%d', bucket_of(r.first_ms)) end
  count_stat(provider, fields)
end

-- An attempt that failed, where that tells of the provider: not what its caller or a worker did.
local function stat_failed(r)
  if r and (r.verdict == 'hard' or r.verdict == 'quality' or r.verdict == 'open' or r.pause_ms) then
    count_stat(r.provider, { 'failed' })
  end
end

local function was_audited(entry)
  for _, row in ipairs(redis.call('XREVRANGE', P .. 'audit', '+', '-', 'COUNT', AUDIT_LOOK)) do
    local fields = row[2]
    for i = 1, #fields, 2 do
      if fields[i] == 'token' and fields[i + 1] == entry.token then return true end
    end
  end
  return false
end

-- Notes an operator's action, once.
local function audit(entry)
  if not entry or was_audited(entry) then return end
  local key = P .. 'audit'
  redis.call('XADD', key, 'MAXLEN', '~', AUDIT_MAX, '*',
    'who', entry.who, 'what', entry.what, 'why', entry.why, 'token', entry.token)
  redis.call('PEXPIRE', key, 400 * DAY_MS)
end

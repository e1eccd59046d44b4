-- snapshot: what routing needs to know, read in one go; writes nothing.
-- args: providers [{name, model}, …] suffixes ['', '.batch']
local out = { now = now, providers = {}, queues = {}, workers = {} }
local capacity = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', now - 5000, '+inf')) do
  local got = redis.call('HMGET', P .. 'worker:' .. id, 'queues', 'concurrency')
  if got[1] then
    out.workers[#out.workers + 1] = { id = id, queues = got[1], concurrency = int(got[2]) }
    for queue in string.gmatch(got[1], '[^,]+') do capacity[queue] = (capacity[queue] or 0) + int(got[2]) end
  end
end
for _, p in ipairs(a.providers) do
  local b = load_breaker(p.name, p.model)
  local state, free = b.state, 0
  if state == 'half_open' then
    free = permits_free(b)
  elseif state == 'open' and int(b['until']) <= now then
    state, free = 'half_open', 1
  end
  local durations = {}
  for k, v in pairs(b) do
    local kind = string.match(k, '^ms:(.+)$')
    if kind then durations[kind] = v end
  end
  out.providers[p.name] = {
    breaker = state, gen = int(b.gen), since = int(b.since), ['until'] = int(b['until']), floor = int(b.floor),
    why = b.why or '', permits_free = free, opens = int(b.opens), hard = int(b.hard), quality = int(b.quality),
    durations = durations, probed = int(b.probed), probes = int(b.probes), ok_at = int(b.ok_at),
  }
  for _, suffix in ipairs(a.suffixes) do
    local queue = p.name .. suffix
    local key = P .. 'waiting:' .. queue
    local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    local paused = redis.call('PTTL', P .. 'paused:' .. queue)
    out.queues[queue] = {
      depth = redis.call('ZCARD', key), oldest_ms = oldest[2] and now - int(oldest[2]) or 0,
      concurrency = capacity[queue] or 0, paused_ms = math.max(paused, 0),
      paused_why = redis.call('GET', P .. 'paused:' .. queue) or '',
    }
  end
end
local forced, preferred = redis.call('GET', P .. 'forced'), redis.call('GET', P .. 'preferred')
if forced then out.forced, out.forced_ms = forced, redis.call('PTTL', P .. 'forced') end
if preferred then out.preferred, out.preferred_ms = preferred, redis.call('PTTL', P .. 'preferred') end
return cjson.encode(out)

-- breaker:<provider>:<model>            hash: state, gen, since, until, floor, why, opens, hard, succ, slow, win, ok_at, ms:<kind>
-- breaker:<provider>:<model>:permits    sorted set: request id -> when its permit runs out (half-open only)
-- paused:<queue>                        string: why nothing begins there
-- preferred                             string: fallback|primary
local TRIP_HARD, TRIP_MIN, WINDOW_MS, BUCKET_MS = 3, 10, 60000, 10000
local SLOW_OF, SLOW_TRIP, CLOSE_AFTER, SAMPLES = 10, 8, 3, 32
local COOLDOWN_MS, COOLDOWN_MAX_MS = 10000, 300000
local HALF_OPEN_LIMITS = { 1, 2, 4 }

local function breaker_key(p, m) return P .. 'breaker:' .. p .. ':' .. m end

local function load_breaker(p, m)
  local b = { state = 'closed', gen = '0' }
  local flat = redis.call('HGETALL', breaker_key(p, m))
  for i = 1, #flat, 2 do b[flat[i]] = flat[i + 1] end
  b.key, b.p = breaker_key(p, m), p
  return b
end

local function set_breaker(b, fields)
  local flat = {}
  for k, v in pairs(fields) do
    flat[#flat + 1] = k
    flat[#flat + 1] = v
    b[k] = type(v) == 'number' and string.format('%.0f', v) or v
  end
  redis.call('HSET', b.key, unpack(flat))
  redis.call('PEXPIRE', b.key, DAY_MS)
end

-- A change of state takes a new generation and drops all permits, so that late reports of the old one change nothing.
local function change_breaker(b, state, fields)
  fields.state, fields.since, fields.hard, fields.succ = state, now, 0, 0
  fields.gen = math.max(int(b.gen) + 1, now)
  set_breaker(b, fields)
  redis.call('DEL', b.key .. ':permits')
end

local function open_breaker(b, why, jitter, retry_after_ms, open_ms)
  local opens = int(b.opens)
  local cooldown = math.min(COOLDOWN_MS * 2 ^ math.min(opens, 10), COOLDOWN_MAX_MS) * (jitter or 1)
  cooldown = math.min(cooldown, COOLDOWN_MAX_MS)
  local floor = now + (retry_after_ms or 0)
  change_breaker(b, 'open', {
    why = why, opens = opens + 1, floor = floor,
    ['until'] = math.floor(math.max(now + (open_ms or cooldown), floor)),
  })
end

local function close_breaker(b)
  change_breaker(b, 'closed', { why = '', opens = 0, win = '', slow = '', ['until'] = 0, floor = 0 })
  local preferred = redis.call('GET', P .. 'preferred')
  if preferred and string.match(preferred, '|(.*)$') == b.p then redis.call('DEL', P .. 'preferred') end
end

local function half_open_breaker(b) change_breaker(b, 'half_open', { ['until'] = 0 }) end

local function half_open_limit(b) return HALF_OPEN_LIMITS[math.min(int(b.succ), 2) + 1] end

local function permits_free(b)
  local held = redis.call('ZCOUNT', b.key .. ':permits', '(' .. string.format('%.0f', now), '+inf')
  return half_open_limit(b) - held
end

-- Whether the breaker admits one more request.
local function breaker_admits(b)
  if b.state == 'closed' then return true end
  if b.state == 'open' then return int(b['until']) <= now end
  return permits_free(b) > 0
end

-- Only after everything else was checked: takes the place that `breaker_admits` saw; returns the generation.
local function take_permit(b, rid)
  if b.state == 'open' then half_open_breaker(b) end
  if b.state == 'half_open' then
    local key = b.key .. ':permits'
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    redis.call('ZADD', key, now + LEASE_MS, rid)
    redis.call('PEXPIRE', key, HOUR_MS)
  end
  return int(b.gen)
end

-- Good and bad of the last 60 s, in buckets of 10 s: `bucket,good,bad;…`.
local function add_to_window(b, good)
  local bucket = math.floor(now / BUCKET_MS)
  local out, goods, bads, found = {}, 0, 0, false
  for at, g, d in string.gmatch(b.win or '', '(%d+),(%d+),(%d+);') do
    at, g, d = tonumber(at), tonumber(g), tonumber(d)
    if at > bucket - WINDOW_MS / BUCKET_MS then
      if at == bucket then
        found = true
        if good then g = g + 1 else d = d + 1 end
      end
      goods, bads = goods + g, bads + d
      out[#out + 1] = string.format('%.0f,%.0f,%.0f;', at, g, d)
    end
  end
  if not found then
    goods, bads = goods + (good and 1 or 0), bads + (good and 0 or 1)
    out[#out + 1] = string.format('%.0f,%d,%d;', bucket, good and 1 or 0, good and 0 or 1)
  end
  return table.concat(out), goods, bads
end

local function add_duration(b, kind, ms)
  if not kind or not ms then return end
  local all = {}
  for x in string.gmatch(b['ms:' .. kind] or '', '%d+') do all[#all + 1] = x end
  all[#all + 1] = string.format('%.0f', ms)
  set_breaker(b, { ['ms:' .. kind] = table.concat(all, ',', math.max(1, #all - SAMPLES + 1)) })
end

local function pause_queue(queue, why, ms)
  local key = P .. 'paused:' .. queue
  if ms > 0 and redis.call('PTTL', key) < ms then redis.call('SET', key, why, 'PX', math.ceil(ms)) end
end

-- Applies one request's report, once: settles its cost, frees its permit, and counts it where it was admitted in this
-- generation.
-- r: provider, model, rid, gen, verdict (ok hard quality open none), slow, ms, kind, why, jitter, retry_after_ms,
-- open_ms, pause_ms, queues, cost_microusd (where it is known).
-- unsent: the last word of an attempt. A request that was granted after the one it tells of was never sent: the grant's
-- reply was lost, or came too late.
local function report(id, c, r, unsent)
  if not r then return end
  local told = string.sub(r.rid, #id + 2)
  if unsent and c and c.rid and c.rid ~= told and string.match(c.rid, '^%d+') == string.match(told, '^%d+') then
    settle(id, c, c.rid, 0, r)
    redis.call('ZREM', load_breaker(r.provider, r.model).key .. ':permits', id .. ':' .. c.rid)
  end
  settle(id, c, told, r.cost_microusd, r)
  local b = load_breaker(r.provider, r.model)
  redis.call('ZREM', b.key .. ':permits', r.rid)
  if c and redis.call('HSETNX', call_key(id), 'rep:' .. r.rid, 1) == 0 then return end
  if r.pause_ms then
    for _, queue in ipairs(r.queues) do pause_queue(queue, r.why, r.pause_ms) end
  end
  if int(r.gen) ~= int(b.gen) or b.state == 'open' then return end
  local ok, hard = r.verdict == 'ok', r.verdict == 'hard'
  if ok or r.verdict == 'quality' then set_breaker(b, { ok_at = now }) end
  if ok then add_duration(b, r.kind, r.ms) end
  if r.verdict == 'quality' then set_breaker(b, { quality = int(b.quality) + 1 }) end
  if r.verdict == 'open' then return open_breaker(b, r.why, 1, r.retry_after_ms, r.open_ms) end
  if not (ok or hard) then return end
  if b.state == 'half_open' then
    if hard or r.slow then return open_breaker(b, hard and r.why or 'slow', r.jitter, r.retry_after_ms) end
    set_breaker(b, { succ = int(b.succ) + 1 })
    if int(b.succ) >= CLOSE_AFTER then close_breaker(b) end
    return
  end
  local win, goods, bads = add_to_window(b, ok)
  local slow = string.sub((b.slow or '') .. (r.slow and '1' or '0'), -SLOW_OF)
  set_breaker(b, { win = win, slow = slow, hard = ok and 0 or int(b.hard) + 1 })
  local _, slows = string.gsub(slow, '1', '')
  if int(b.hard) >= TRIP_HARD then
    open_breaker(b, r.why, r.jitter, r.retry_after_ms)
  elseif hard and goods + bads >= TRIP_MIN and bads * 2 >= goods + bads then
    open_breaker(b, 'half of the last minute failed', r.jitter, r.retry_after_ms)
  elseif #slow == SLOW_OF and slows >= SLOW_TRIP then
    open_breaker(b, 'slow', r.jitter)
  end
end

-- call:<id>            hash: one call
-- due                  sorted set: id -> when the reconciler looks at it
-- waiting:<queue>      sorted set: id -> since when it waits there
-- mark:<queue>         string: the latest dispatch time taken from the queue
-- unmarked:<queue>     string: when a message without a dispatch time was last taken from the queue
-- tick                 hash: last, quiet_until, live:<queue>
-- inbox:<client>       stream: what a client process is told
local LEASE_MS, GRACE_MS, EVENT_LIMIT, INBOX_MAXLEN = 10000, 5000, 8192, 20000
local MAX_CRASHES, TICK_STALE_MS = 3, 5000

local function call_key(id) return P .. 'call:' .. id end

local function load_call(id)
  local flat = redis.call('HGETALL', call_key(id))
  if #flat == 0 then return nil end
  local c = {}
  for i = 1, #flat, 2 do c[flat[i]] = flat[i + 1] end
  return c
end

local function has_ended(c) return c.st == 'D' or c.st == 'F' or c.st == 'X' end

local function set_call(id, c, fields)
  local flat = {}
  for k, v in pairs(fields) do
    flat[#flat + 1] = k
    flat[#flat + 1] = v
    c[k] = tostring(v)
    if type(v) == 'number' then c[k] = string.format('%.0f', v) end
  end
  redis.call('HSET', call_key(id), unpack(flat))
end

local function keep_call(id, c)
  redis.call('PEXPIRE', call_key(id), math.max(int(c.deadline) - now, 0) + DAY_MS)
end

-- An epoch that is taken from the clock is never handed out again, also after Redis lost its last writes.
local function next_epoch(c) return math.max(int(c.epoch) + 1, now) end

local function start_limit(c)
  return math.max(200, math.min(5000, (int(c.deadline) - now) / 4))
end

local function look_at(id, when) redis.call('ZADD', P .. 'due', math.floor(when), id) end

local function look_at_running(id, c, lease)
  look_at(id, math.min(lease, int(c.deadline) + 2000))
end

local function tell(inbox, id, kind, epoch, n, data)
  local key = P .. 'inbox:' .. inbox
  redis.call('XADD', key, 'MAXLEN', '~', INBOX_MAXLEN, '*',
    'id', id, 'type', kind, 'epoch', epoch, 'n', n, 'data', data)
  redis.call('PEXPIRE', key, HOUR_MS)
end

local function tell_all(id, c, kind, n, data)
  for inbox in string.gmatch(c.inboxes or '', '[^\n]+') do tell(inbox, id, kind, c.epoch, n, data) end
end

local function add_inbox(id, c, inbox)
  if not inbox or inbox == '' then return end
  local all = c.inboxes or ''
  if not string.find('\n' .. all .. '\n', '\n' .. inbox .. '\n', 1, true) then
    set_call(id, c, { inboxes = all == '' and inbox or (all .. '\n' .. inbox) })
  end
end

local function add_attempt(id, c, row)
  if not row then return end
  local rows = c.attempts or ''
  set_call(id, c, { attempts = rows == '' and row or (rows .. '\n' .. row) })
end

-- After an outage, for a while: owners renew before anyone takes over.
local function is_quiet()
  local got = redis.call('HMGET', P .. 'tick', 'last', 'quiet_until')
  return int(got[2]) > now or (got[1] and now - int(got[1]) > TICK_STALE_MS)
end

local function leave_queue(id, c)
  if c.queue then redis.call('ZREM', P .. 'waiting:' .. c.queue, id) end
end

-- Ends the call: nothing changes it afterwards. An empty outcome is put together by whoever reads the record.
local function end_call(id, c, st, reason, outcome)
  leave_queue(id, c)
  set_call(id, c, {
    st = st, reason = reason or '', outcome = outcome or '', ended = now, lease = 0, turn = int(c.turn) + 1,
  })
  keep_call(id, c)
  if c.plain == '1' then
    look_at(id, now + 10000)
  else
    redis.call('ZREM', P .. 'due', id)
  end
  local data = outcome or ''
  if data == '' or #data > EVENT_LIMIT then data = 'look' end
  tell_all(id, c, st == 'D' and 'done' or 'failed', -1, data)
end

-- Assigns the call to a provider; returns the dispatch time, and whether a message must be published: not where the
-- queue still holds one of this call.
local function dispatch(id, c, provider, queue)
  leave_queue(id, c)
  local waits = int(c['waits:' .. queue])
  local mark = int(redis.call('GET', P .. 'mark:' .. queue))
  local holds = waits > 0 and mark <= waits + GRACE_MS
  local sent = holds and waits or math.max(int(c.sent) + 1, now)
  set_call(id, c, {
    st = 'Q', prov = provider, queue = queue, lease = 0, turn = int(c.turn) + 1, sent = sent, looks = 0,
    ['waits:' .. queue] = sent,
  })
  redis.call('ZADD', P .. 'waiting:' .. queue, now, id)
  look_at(id, math.min(now + start_limit(c), int(c.deadline)))
  return sent, not holds
end

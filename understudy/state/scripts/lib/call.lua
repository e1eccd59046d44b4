-- call:<id>            hash: one call
-- due                  sorted set: id -> when the reconciler looks at it
-- waiting:<queue>      sorted set: id -> since when it waits there
-- mark:<queue>         string: the latest dispatch time taken from the queue
-- unmarked:<queue>     string: when a message without a dispatch time was last taken from the queue
-- tick                 hash: last, quiet_until, live:<queue>
-- inbox:<client>       stream: what a client process is told
-- task:<task>          string: the call of a plain caller's task that has a key, also after Celery has its outcome
local LEASE_MS, GRACE_MS, EVENT_LIMIT, INBOX_MAXLEN = 10000, 5000, 8192, a.inbox_maxlen or 20000
local MAX_CRASHES, TICK_STALE_MS = 3, 5000

local function call_key(id) return P .. 'call:' .. id end

local function load_call(id)
  local flat = redis.call('HGETALL', call_key(id))
  if #flat == 0 then return nil end
  local c = {}
  for i = 1, #flat, 2 do c[flat[i]] = flat[i + 1] end
  return c
end

local function task_key(task) return P .. 'task:' .. task end

-- Tasks of Celery that share a call by its key: their canvas is in `waiter:<task>`, or in `revoked:<task>` once Celery
-- revoked them, until Celery has their outcome. All of them but one, as task, canvas, task, canvas, …
local function tasks_of(c, but)
  local flat = {}
  for field, canvas in pairs(c) do
    local task = string.match(field, '^waiter:(.*)$') or string.match(field, '^revoked:(.*)$')
    if task and task ~= but then
      flat[#flat + 1] = task
      flat[#flat + 1] = canvas
    end
  end
  return flat
end

-- Those of them that are to get the outcome.
local function waiters(c)
  local ids = {}
  for field in pairs(c) do ids[#ids + 1] = string.match(field, '^waiter:(.*)$') end
  return ids
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

-- Clears the record of a call that is opened anew. What was asked and paid in the failed life stays counted: request ids
-- and reports keep their names, `requests` is to count on; and who has no outcome yet waits on.
local KEPT = { rep = true, rsv = true, paid = true, waiter = true, revoked = true }
local function cleared(id, c)
  local kept = {}
  if c then unlist_failed(id, c) end
  for field, value in pairs(c or {}) do
    if field == 'rids' or KEPT[string.match(field, '^(%a+):') or ''] then
      kept[field] = value
    else
      redis.call('HDEL', call_key(id), field)
    end
  end
  return kept
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

-- Celery hears of a call's end in the next tick.
local function tell_soon(id, c)
  if c.plain == '1' or #tasks_of(c) > 0 then look_at(id, now) end
end

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

-- What the tools of the call have done so far, row by row.
local function steps_of(c)
  local rows = {}
  for n = 1, int(c.steps) do rows[n] = c['step:' .. string.format('%.0f', n)] end
  return rows
end

-- What the latest attempt came to; empty before the first.
local function latest_failure(c)
  local row = string.match(c.attempts or '', '[^\n]+$')
  return row and cjson.decode(row).what or ''
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
  local ran = c.st == 'R'
  leave_queue(id, c)
  set_call(id, c, {
    st = st, reason = reason or '', outcome = outcome or '', ended = now, lease = 0, turn = int(c.turn) + 1,
  })
  keep_call(id, c)
  if st == 'F' and c.reason ~= '' then list_failed(id, c.reason) end
  if c.plain == '1' or ran and #tasks_of(c) > 0 then
    look_at(id, now + 10000)
  elseif #tasks_of(c) > 0 then
    -- no worker is at it that would tell them
    look_at(id, now)
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

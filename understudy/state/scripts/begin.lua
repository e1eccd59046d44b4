-- begin: a worker has taken a message and asks whether it may work on the call.
-- args: id provider model queue sent token worker; adopt (a plain caller's message): kind v request rhash deadline_ms
-- opts canvas; task (Celery's id of a message whose call has a key); degraded (its kind has an answer for a call that
-- nobody answers in time); money (of a paid provider: what the request can cost, see `most`, and the budgets); trace
-- (the traceparent of the message, or of whoever asks)

-- How long at least a call that was denied does not ask the provider again. Not for the whole cooldown or pause: either may
-- end earlier, and whoever moves the call on sees both.
local DENIED_MS = 1000

if a.sent and a.sent > 0 then
  -- a time from the future would be evidence against every message that still waits
  local key = P .. 'mark:' .. a.queue
  redis.call('SET', key, math.max(int(redis.call('GET', key)), math.min(a.sent, now)), 'PX', DAY_MS)
else
  redis.call('SET', P .. 'unmarked:' .. a.queue, now, 'PX', DAY_MS)
end
local c = load_call(a.id)
if c and a.sent and int(c['waits:' .. a.queue]) == a.sent then
  redis.call('HDEL', call_key(a.id), 'waits:' .. a.queue)
  c['waits:' .. a.queue] = nil
end

-- the rows that this script adds to the attempts: whoever began counts them
local rows = {}
local function add_row(row)
  row = cjson.encode(row)
  table.insert(rows, row)
  add_attempt(a.id, c, row)
end

local function with_rows(reply)
  table.insert(reply, 'rows')
  table.insert(reply, table.concat(rows, '\n'))
  return reply
end

local function run()
  return with_rows({ 'run', 'epoch', c.epoch, 'turn', c.turn, 'rid', c.rid, 'gen', c.gen, 'kind', c.kind, 'request', c.request,
    'opts', c.opts, 'deadline', c.deadline, 'created', c.created, 'first', c.first, 'attempts', c.attempts or '',
    'tried', c.tried or '', 'requests', c.requests, 'rounds', c.rounds, 'plain', c.plain or '0', 'v', c.v, 'now', now,
    'reserved', reserved_of(c), 'steps', steps_of(c), 'inboxes', c.inboxes or '' })
end
local function over()
  if a.task or (c.plain == '1' and c.told ~= '1') then return { 'replay' } end
  return { 'drop', 'why', 'ended' }
end
local function ended(reason)
  end_call(a.id, c, 'F', reason)
  if #tasks_of(c, a.task) > 0 then look_at(a.id, now) end
  local reply = over()
  table.insert(reply, 'reason')
  table.insert(reply, reason)
  return with_rows(reply)
end

local function denied()
  return with_rows({ 'denied', 'epoch', c.epoch, 'turn', c.turn, 'why', c.denied_why, 'until', c['nb:' .. a.provider], 'now', now,
    'short', c.denied_why == 'budget' and c.short or '' })
end

-- a repeat after a lost reply gets the same answer; its lease counts from this one, for the worker knows no other
if c and c.st == 'R' and c.token == a.token then
  set_call(a.id, c, { lease = now + LEASE_MS })
  look_at_running(a.id, c, now + LEASE_MS)
  redis.call('ZADD', breaker_key(a.provider, a.model) .. ':permits', 'XX', now + LEASE_MS, a.id .. ':' .. c.rid)
  return run()
end
if c and c.st == 'P' and c.denied_to == a.token then return denied() end
local joins = false
if a.task then
  if c and a.adopt and c.rhash ~= a.adopt.rhash then return { 'conflict' } end
  if c and c['revoked:' .. a.task] then return { 'revoked' } end
  if c and not c['waiter:' .. a.task] then
    -- a message that came again, of a task that Celery has the outcome of
    if not a.adopt or redis.call('GET', task_key(a.task)) == a.id then return { 'drop', 'why', 'told' } end
    joins = true
  end
end
if not c or (joins and (c.st == 'F' or c.st == 'X')) then
  if not a.adopt then return { 'drop', 'why', 'missing' } end
  local epoch, asked = next_epoch(c or {}), c and int(c.requests) or 0
  c = cleared(a.id, c)
  set_call(a.id, c, {
    v = a.adopt.v, st = 'Q', kind = a.adopt.kind, request = a.adopt.request, rhash = a.adopt.rhash,
    deadline = now + a.adopt.deadline_ms, created = now, opts = a.adopt.opts, epoch = epoch, turn = 1,
    sent = 0, crashes = 0, requests = asked, turn_base = asked, rounds = 0, inboxes = '', prov = a.provider, queue = a.queue,
  })
  -- a call with a key belongs to no one task: each of those that share it waits for it
  if a.task then joins = true else set_call(a.id, c, { plain = 1, canvas = a.adopt.canvas }) end
  keep_call(a.id, c)
end
if joins then
  set_call(a.id, c, { ['waiter:' .. a.task] = a.adopt.canvas, tells = 0 })
  redis.call('SET', task_key(a.task), a.id, 'PX', math.max(int(c.deadline) - now, 0) + DAY_MS)
  -- this message gets the outcome at once, and once more where its worker dies with it
  if c.st == 'D' then redis.call('ZADD', P .. 'due', 'LT', now + 10000, a.id) end
end
if has_ended(c) then return over() end
-- a call that was opened without a trace goes on with that of the first who works on it
if a.trace and not c.trace then set_call(a.id, c, { trace = a.trace }) end
if now >= int(c.deadline) then
  if a.degraded then
    -- its kind has an answer for this end, which a reconciler gives
    look_at(a.id, now)
    return { 'drop', 'why', 'late' }
  end
  return ended('deadline')
end
if c.prov ~= a.provider then return { 'drop', 'why', 'elsewhere' } end
if c.st == 'P' then return { 'drop', 'why', 'parked' } end
if c.st == 'R' then
  if int(c.lease) > now then return { 'drop', 'why', 'running' } end
  if is_quiet() then return { 'drop', 'why', 'quiet' } end
  set_call(a.id, c, { crashes = int(c.crashes) + 1 })
  add_row({
    provider = c.prov, model = a.model, what = 'worker_lost', at_ms = int(c.begun), ms = now - int(c.begun),
    requests = int(c.requests) - int(c.base),
    cost_microusd = charged(c, int(c.base)),
  })
  if int(c.crashes) >= MAX_CRASHES then return ended('quarantined') end
end

-- breaker, pause and budgets: looked at together, taken together
local b = load_breaker(a.provider, a.model)
local paused = redis.call('PTTL', P .. 'paused:' .. a.queue) > 0
local admitted = not paused and breaker_admits(b)
local short = admitted and short_of(c, a.money)
if short then
  leave_queue(a.id, c)
  local is_row = string.find(a.queue, '%.batch$')
  -- a live call never asks a paid provider again; a batch row waits for room
  set_call(a.id, c, { st = 'P', lease = 0, turn = int(c.turn) + 1,
    denied_to = a.token, denied_why = 'budget', short = short,
    ['nb:' .. a.provider] = is_row and now + SHORT_MS or math.max(int(c.deadline), now) + GRACE_MS })
  if not is_row then
    add_row({
      provider = a.provider, model = a.model, what = 'budget', at_ms = now,
      detail = 'the budget of the ' .. short .. ' has no room for it',
    })
  end
  look_at(a.id, math.min(now + 5000, int(c.deadline)))
  return denied()
end
if not admitted then
  leave_queue(a.id, c)
  set_call(a.id, c, { st = 'P', lease = 0, turn = int(c.turn) + 1,
    denied_to = a.token, denied_why = paused and 'paused' or b.why or '', ['nb:' .. a.provider] = now + DENIED_MS })
  look_at(a.id, math.min(now + 5000, int(c.deadline)))
  return denied()
end
local requests = int(c.requests) + 1
local epoch = next_epoch(c)
local rid = string.format('%.0f', epoch) .. '-' .. string.format('%.0f', requests)
leave_queue(a.id, c)
set_call(a.id, c, {
  st = 'R', epoch = epoch, lease = now + LEASE_MS, token = a.token, rid = rid, requests = requests, base = requests - 1,
  gen = take_permit(b, a.id .. ':' .. rid), worker = a.worker, begun = now, first = int(c.first) > 0 and c.first or now,
  rids = (c.rids or '') .. rid .. ' ', denied_why = '',
})
reserve(a.id, c, rid, a.money)
look_at_running(a.id, c, now + LEASE_MS)
tell_all(a.id, c, 'started', 0, cjson.encode({ provider = a.provider, model = a.model, why = latest_failure(c) }))
return run()

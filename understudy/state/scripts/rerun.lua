-- rerun: an operator has a call that failed, or was cancelled, run again. It is PARKED and due now: a reconciler sends it.
-- args: id token lengths {kind: ms} audit
-- Kept: what was asked, who waits, what was charged, what tools did, messages that still wait in a queue. `requests` counts
-- on, so that every request keeps a name of its own; `turn_base` has the cap count anew. The attempts go to `earlier`: they
-- would narrow where the new run may go.
local KEPT_WHOLE = {
  v = true, kind = true, request = true, rhash = true, opts = true, queue = true, inboxes = true, plain = true, canvas = true,
  epoch = true, turn = true, sent = true, requests = true, rids = true, steps = true, step_bytes = true, runs = true,
  trace = true,
}
local KEPT_PARTS = { rep = true, rsv = true, paid = true, waiter = true, revoked = true, waits = true, step = true }
local EARLIER = 32

local c = load_call(a.id)
if not c then return { 'missing' } end
-- a repeat after a lost reply gets the same answer
if c.rerun_by == a.token then return { 'rerun' } end
if c.st ~= 'F' and c.st ~= 'X' then return { 'refused', 'why', c.st } end
-- Celery has told whoever waited that the task was revoked: that is not taken back
if c.by_celery == '1' then return { 'refused', 'why', 'revoked' } end
-- Celery is still to hear of the end: whoever tells it would seem to have told of the next one
if redis.call('ZSCORE', P .. 'due', a.id) then return { 'refused', 'why', 'untold' } end

local rows = {}
for row in string.gmatch((c.earlier or '') .. '\n' .. (c.attempts or ''), '[^\n]+') do rows[#rows + 1] = row end
local length = math.max(a.lengths[c.kind] or 0, int(c.deadline) - int(c.created))
unlist_failed(a.id, c)
local gone = {}
for field in pairs(c) do
  if not KEPT_WHOLE[field] and not KEPT_PARTS[string.match(field, '^(%a+):') or ''] then gone[#gone + 1] = field end
end
for _, field in ipairs(gone) do
  redis.call('HDEL', call_key(a.id), field)
  c[field] = nil
end
set_call(a.id, c, {
  st = 'P', prov = '', epoch = next_epoch(c), turn = int(c.turn) + 1, created = now, deadline = now + math.min(length, DAY_MS),
  turn_base = int(c.requests), crashes = 0, rounds = 0, lease = 0, runs = int(c.runs) + 1, rerun_by = a.token,
  earlier = table.concat(rows, '\n', math.max(1, #rows - EARLIER + 1)),
})
keep_call(a.id, c)
local tasks = tasks_of(c)
for i = 1, #tasks, 2 do redis.call('PEXPIRE', task_key(tasks[i]), int(c.deadline) - now + DAY_MS) end
look_at(a.id, now)
audit(a.audit)
return { 'rerun' }

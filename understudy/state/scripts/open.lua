-- open: a client has a call to make. New: QUEUED. Open: its inbox is added. Done: its outcome. Failed or cancelled: anew.
-- args: id kind v request rhash deadline_ms | deadline, opts provider queue inbox token; trace (its traceparent)
local c = load_call(a.id)
if c and c.rhash ~= a.rhash then return { 'conflict' } end
if c and c.st == 'D' then return { 'done' } end
if c and not has_ended(c) then
  add_inbox(a.id, c, a.inbox)
  -- a repeat after a lost reply gets the same answer, as long as nobody has moved the call
  if c.opened_by == a.token and c.st == 'Q' and c.turn == '1' then
    return { 'publish', 'queue', c.queue, 'sent', c.sent, 'deadline', c.deadline, 'now', now }
  end
  return { 'attached', 'deadline', c.deadline, 'now', now }
end
local deadline = a.deadline or now + a.deadline_ms
if deadline <= now then return { 'late', 'deadline', deadline, 'now', now } end
local epoch, asked = next_epoch(c or {}), c and int(c.requests) or 0
c = cleared(a.id, c)
set_call(a.id, c, {
  v = a.v, st = 'Q', kind = a.kind, request = a.request, rhash = a.rhash, deadline = deadline, created = now,
  opts = a.opts, epoch = epoch, turn = 0, sent = 0, crashes = 0, requests = asked, turn_base = asked, rounds = 0,
  opened_by = a.token, inboxes = a.inbox or '', trace = a.trace,
})
local sent = dispatch(a.id, c, a.provider, a.queue)
keep_call(a.id, c)
return { 'publish', 'queue', a.queue, 'sent', sent, 'deadline', deadline, 'now', now }

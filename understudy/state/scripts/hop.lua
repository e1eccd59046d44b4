-- hop: moves a call on: to a provider, into the park, or to its end. By its owner or by a reconciler.
-- args: id epoch turn by (owner reconciler) token; attempt tried left report requests not_before;
--       to queue | until | st reason outcome; new_round; resend depth force
-- Report and permit come first: they count even when the hop is refused.
local c = load_call(a.id)
report(a.id, c, a.report, a.by ~= 'reconciler')
if not c then return { 'refused', 'why', 'missing' } end
local mine = a.token .. '@' .. string.format('%.0f', a.turn)
if c.hopped == mine then
  if c.hop_reply == 'publish' and not has_ended(c) then
    return { 'publish', 'queue', c.queue, 'sent', c.sent, 'canvas', c.canvas or '', 'kind', c.kind,
      'trace', c.trace or '' }
  end
  return { c.hop_reply }
end
if has_ended(c) then return { 'refused', 'why', 'ended' } end
if int(c.epoch) ~= a.epoch or int(c.turn) ~= a.turn then return { 'refused', 'why', 'moved' } end

local attempt = a.attempt
if a.by == 'reconciler' then
  if c.st == 'R' then
    local late = now >= int(c.deadline) + 2000
    if int(c.lease) > now and not late then return { 'refused', 'why', 'running' } end
    if int(c.lease) <= now then set_call(a.id, c, { crashes = int(c.crashes) + 1 }) end
  end
elseif c.st == 'Q' then
  return { 'refused', 'why', 'moved' }
end

local function done(reply)
  redis.call('HSET', call_key(a.id), 'hopped', mine, 'hop_reply', reply)
end

-- The same queue once more, only with evidence that the message is gone.
if a.resend then
  local mark = int(redis.call('GET', P .. 'mark:' .. c.queue))
  local gone = now - int(c.sent) > GRACE_MS and (mark > int(c.sent) + GRACE_MS or a.depth == 0)
  -- where messages without a dispatch time were taken since, no better evidence may ever come
  local unmarked = int(redis.call('GET', P .. 'unmarked:' .. c.queue)) > int(c.sent) + GRACE_MS
  if not gone and not (a.force and unmarked) then
    local looks = int(c.looks) + 1
    set_call(a.id, c, { looks = looks })
    local wait = ({ 5000, 10000, 20000 })[looks] or 30000
    look_at(a.id, math.min(now + math.min(wait, a.until_ms or wait), int(c.deadline)))
    return { 'waits' }
  end
  if not gone then set_call(a.id, c, { forced = int(c.forced) + 1 }) end
  redis.call('HDEL', call_key(a.id), 'waits:' .. c.queue)
  c['waits:' .. c.queue] = nil
end

if attempt then add_attempt(a.id, c, attempt) end
stat_failed(a.report)
if a.tried then set_call(a.id, c, { tried = (c.tried or '') .. a.tried .. ' ' }) end
if a.left then set_call(a.id, c, { left = (c.left or '') .. a.left .. ' ' }) end
if a.new_round then set_call(a.id, c, { tried = '', rounds = int(c.rounds) + 1 }) end
for provider, ms in pairs(a.not_before or {}) do set_call(a.id, c, { ['nb:' .. provider] = now + ms }) end

if int(c.crashes) >= MAX_CRASHES then
  end_call(a.id, c, 'F', 'quarantined')
  if a.by == 'reconciler' then tell_soon(a.id, c) end
  done('ended')
  return { 'ended', 'st', 'F', 'reason', 'quarantined' }
end
if a.to then
  local from = c.prov or ''
  if from ~= '' and a.to ~= from then
    local failed = attempt and cjson.decode(attempt)
    local denied = c.denied_why ~= '' and c.denied_why
    local why = failed and (failed.what == 'waited' and failed.detail or failed.what) or denied or latest_failure(c)
    note_fallback(a.id, c.kind, from, a.to, why)
  end
  local since = c.st == 'Q' and redis.call('ZSCORE', P .. 'waiting:' .. c.queue, a.id)
  local sent, publish = dispatch(a.id, c, a.to, a.queue)
  -- a message that is sent again waits since the first one
  if a.resend and since then redis.call('ZADD', P .. 'waiting:' .. a.queue, since, a.id) end
  done(publish and 'publish' or 'waits')
  if not publish then return { 'waits' } end
  return { 'publish', 'queue', a.queue, 'sent', sent, 'canvas', c.canvas or '', 'kind', c.kind,
    'trace', c.trace or '' }
end
if a.st then
  end_call(a.id, c, a.st, a.reason, a.outcome)
  -- Celery hears of the end from the owner; where there is none, from the next tick
  if a.by == 'reconciler' then tell_soon(a.id, c) end
  done('ended')
  return { 'ended', 'st', a.st }
end
leave_queue(a.id, c)
set_call(a.id, c, { st = 'P', lease = 0, turn = int(c.turn) + 1 })
look_at(a.id, math.min(now + a.until_ms, int(c.deadline)))
done('parked')
return { 'parked' }

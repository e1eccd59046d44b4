-- finish: a worker has the outcome. Accepted while its epoch is the last one begun, also after its lease ran out.
-- args: id epoch token st reason outcome attempt report; provider primary primary_model preferred_ms paid (an answer)
-- Report and permit come first: they count even when the outcome is refused.
local c = load_call(a.id)
report(a.id, c, a.report, true)
if not c then return { 'refused', 'why', 'missing' } end
if has_ended(c) then
  if c.finished_by == a.token and int(c.epoch) == a.epoch then return { 'accepted', 'waiters', waiters(c) } end
  return { 'refused', 'why', 'ended' }
end
if int(c.epoch) ~= a.epoch then return { 'refused', 'why', 'epoch' } end
add_attempt(a.id, c, a.attempt)
set_call(a.id, c, { finished_by = a.token })
end_call(a.id, c, a.st, a.reason, a.outcome)
if a.st == 'D' and a.provider then
  count_answered(a.paid)
  stat_answered(a.provider, a.report)
elseif a.st == 'F' then
  stat_failed(a.report)
end
-- which fallback worked while the primary is out; success never renews it
if a.st == 'D' and a.primary and a.primary ~= a.provider then
  if load_breaker(a.primary, a.primary_model).state ~= 'closed' then
    redis.call('SET', P .. 'preferred', a.provider .. '|' .. a.primary, 'NX', 'PX', a.preferred_ms)
  end
end
return { 'accepted', 'waiters', waiters(c) }

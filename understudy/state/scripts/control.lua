-- control: an operator sets a control, a string with its own duration, or takes it back.
-- args: key (without the prefix) audit; value ms | neither
local key = P .. a.key
if a.value then
  redis.call('SET', key, a.value, 'PX', a.ms)
  audit(a.audit)
  return { 'set' }
end
if redis.call('DEL', key) == 1 then
  audit(a.audit)
  return { 'gone' }
end
-- a repeat after a lost reply gets the same answer
return { was_audited(a.audit) and 'gone' or 'none' }

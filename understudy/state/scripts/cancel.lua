-- cancel: a client's takes its inbox away and ends the call when none is left; an operator's always ends it.
-- args: id inbox | operator
local c = load_call(a.id)
if not c then return { 'missing' } end
if has_ended(c) then return { c.st } end
if not a.operator then
  local left = {}
  for inbox in string.gmatch(c.inboxes or '', '[^\n]+') do
    if inbox ~= a.inbox then left[#left + 1] = inbox end
  end
  if #left > 0 or c.plain == '1' then
    set_call(a.id, c, { inboxes = table.concat(left, '\n') })
    return { c.st }
  end
end
local parked = c.st == 'P'
end_call(a.id, c, 'X', 'cancelled')
-- of a plain call Celery hears from its owner, or from the worker that takes its message; parked, it has neither
if parked and c.plain == '1' then look_at(a.id, now) end
return { 'X' }

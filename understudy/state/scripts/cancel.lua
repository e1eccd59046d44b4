-- cancel: a client's takes its inbox away and ends the call when nobody is left who waits; an operator's always ends it.
-- Celery's revoke of a task is an operator's of its call; where the call has a key, only of what that task waits for.
-- args: id inbox | id operator audit | id task (`id` is then the task's)
local shared = a.task and redis.call('GET', task_key(a.id))
local id = shared or a.id
local c = load_call(id)
if not c then return { 'missing' } end
if has_ended(c) then return { c.st } end
if shared then
  local canvas = c['waiter:' .. a.id]
  if not canvas then return { c.st } end
  redis.call('HDEL', call_key(id), 'waiter:' .. a.id)
  c['waiter:' .. a.id] = nil
  set_call(id, c, { ['revoked:' .. a.id] = canvas })
  if #waiters(c) > 0 or (c.inboxes or '') ~= '' or c.plain == '1' then
    -- the call goes on; its message brings Celery what it stores for the task
    return { 'publish', 'id', id, 'queue', c.queue, 'sent', math.max(int(c.sent) + 1, now), 'kind', c.kind,
      'tasks', { a.id, canvas } }
  end
elseif not a.operator and not a.task then
  local left = {}
  for inbox in string.gmatch(c.inboxes or '', '[^\n]+') do
    if inbox ~= a.inbox then left[#left + 1] = inbox end
  end
  if #left > 0 or c.plain == '1' or #waiters(c) > 0 then
    set_call(id, c, { inboxes = table.concat(left, '\n') })
    return { c.st }
  end
end
local parked = c.st == 'P'
-- Celery tells whoever waits that this task was revoked, which is not taken back: it cannot be run again
if a.task and not shared then set_call(id, c, { by_celery = 1 }) end
end_call(id, c, 'X', 'cancelled')
-- of a plain call Celery hears from its owner, or from the worker that takes its message; parked, it has neither
if parked then tell_soon(id, c) end
audit(a.audit)
return { 'X' }

-- told: Celery has the outcome of a plain caller's task.
-- args: id (the task's: of a task with a key it is not its call's)
local shared = redis.call('GET', task_key(a.id))
local id = shared or a.id
local c = load_call(id)
if not c then return { 'missing' } end
if shared then
  for _, field in ipairs({ 'waiter:' .. a.id, 'revoked:' .. a.id }) do
    redis.call('HDEL', call_key(id), field)
    c[field] = nil
  end
end
if not has_ended(c) then return { shared and 'told' or 'open' } end
if not shared then set_call(id, c, { told = 1 }) end
if #tasks_of(c) == 0 and (c.plain ~= '1' or c.told == '1') then redis.call('ZREM', P .. 'due', id) end
return { 'told' }

-- told: Celery has the outcome of a plain call.
-- args: id
local c = load_call(a.id)
if not c then return { 'missing' } end
if not has_ended(c) then return { 'open' } end
set_call(a.id, c, { told = 1 })
redis.call('ZREM', P .. 'due', a.id)
return { 'told' }

-- retell: of a call that ended, Celery is told by a message for each of its tasks that has no outcome; at most five times.
-- args: id; epoch turn (a reconciler's); queue, where the call's own has no worker; or others (the worker's that ended
--       it: all tasks but this one, which hears from that worker itself)
local TELLS, APART_MS = 5, 5000
local c = load_call(a.id)
if not c or not has_ended(c) then return { 'refused' } end
if a.epoch and (int(c.epoch) ~= a.epoch or int(c.turn) ~= a.turn) then return { 'refused' } end
local own = c.plain == '1' and c.told ~= '1' and not a.others
local tasks = tasks_of(c, a.others)
if not own and #tasks == 0 then
  if not a.others then redis.call('ZREM', P .. 'due', a.id) end
  return { 'refused' }
end
local tells = int(c.tells) + 1
-- a worker and a reconciler may come to it at once
if tells > TELLS or now < int(c.tell_at) + APART_MS then return { 'refused' } end
local sent = math.max(int(c.sent) + 1, now)
local queue = a.queue or c.queue
set_call(a.id, c, { tells = tells, tell_at = now, sent = sent })
-- should the call be run again meanwhile, this message is one of it
if own then set_call(a.id, c, { ['waits:' .. queue] = sent }) end
look_at(a.id, now + 10000 * 2 ^ tells)
return { 'publish', 'queue', queue, 'sent', sent, 'kind', c.kind,
  'own', own and 1 or 0, 'canvas', c.canvas or '', 'tasks', tasks, 'trace', c.trace or '' }

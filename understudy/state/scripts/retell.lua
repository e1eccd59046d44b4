-- retell: an ended plain call that Celery was not told of is published once more, at most five times.
-- args: id epoch turn; queue, where the call's own has no worker
local c = load_call(a.id)
if not c or not has_ended(c) or c.plain ~= '1' or c.told == '1' then return { 'refused' } end
if int(c.epoch) ~= a.epoch or int(c.turn) ~= a.turn then return { 'refused' } end
local tells = int(c.tells) + 1
local sent = math.max(int(c.sent) + 1, now)
set_call(a.id, c, { tells = tells, sent = sent })
look_at(a.id, now + 10000 * 2 ^ tells)
return { 'publish', 'queue', a.queue or c.queue, 'sent', sent, 'canvas', c.canvas or '', 'kind', c.kind }

-- turn_end: a turn gives up its place. Answered, it goes into the history; `open`: how its call ended is not known, so that
-- the next turn is to find out.
-- args: id ticket call open, row first ttl_ms
if a.row then add_turn(a.id, a.call, a.row, a.first, a.ttl_ms) end
if not a.open then settle_turn(a.id, a.call) end
local was_head = redis.call('LINDEX', turns_key(a.id), 0) == a.ticket
redis.call('LREM', turns_key(a.id), 1, a.ticket)
redis.call('HDEL', turn_key(a.id), 'until:' .. a.ticket, 'inbox:' .. a.ticket)
if was_head then wake(a.id, head_of(a.id)) end
return { 'ok' }

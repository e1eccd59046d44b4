-- turn_take: a turn takes its place among those of its conversation, keeps it, and asks whether it may begin. What the
-- turn before it left open is settled first, by whoever comes next. `keep`: the place is kept, and nothing else.
-- args: id ticket inbox lease_ms, keep | call row, settled {call, row, first, ttl_ms}
local turns, turn = turns_key(a.id), turn_key(a.id)
local known = redis.call('HEXISTS', turn, 'until:' .. a.ticket) == 1
if a.keep and not known then return { 'lost' } end
if not known then redis.call('RPUSH', turns, a.ticket) end
redis.call('HSET', turn, 'until:' .. a.ticket, now + a.lease_ms, 'inbox:' .. a.ticket, a.inbox)
redis.call('PEXPIRE', turns, TURNS_TTL_MS)
redis.call('PEXPIRE', turn, TURNS_TTL_MS)
if a.keep then return { 'kept' } end
local before = redis.call('LINDEX', turns, 0)
local head = head_of(a.id)
if head ~= a.ticket then
  if head ~= before then wake(a.id, head) end
  return { 'wait' }
end
local s = a.settled
if s and redis.call('HGET', turn, 'pending') == s.call then
  if s.row then add_turn(a.id, s.call, s.row, s.first, s.ttl_ms) end
  settle_turn(a.id, s.call)
end
local pending = redis.call('HMGET', turn, 'pending', 'pending_row')
if pending[1] and pending[1] ~= a.call then return { 'settle', 'row', pending[2] } end
redis.call('HSET', turn, 'pending', a.call, 'pending_row', a.row)
return { 'go', 'history', redis.call('LRANGE', history_key(a.id), 0, -1) }

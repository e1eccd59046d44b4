-- turn_clear: forgets a conversation's history; a turn that is under way is not written either.
-- args: id
local pending = redis.call('HGET', turn_key(a.id), 'pending')
if pending then redis.call('HSET', turn_key(a.id), 'forget', pending) end
return { redis.call('DEL', history_key(a.id)) == 1 and 'cleared' or 'empty' }

-- attach: a client comes back for a call it knows by id. Reply: the whole record; none where it is unknown.
-- args: id inbox
local c = load_call(a.id)
if not c then return {} end
if not has_ended(c) then add_inbox(a.id, c, a.inbox) end
return redis.call('HGETALL', call_key(a.id))

-- gone: the elected watcher could not connect, as often in a row as calls that open a breaker, to a provider that rests.
-- args: provider model why jitter
local b = load_breaker(a.provider, a.model)
if b.state == 'closed' then open_breaker(b, a.why, a.jitter) end
return { b.state }

-- probed: the elected prober reports. It works: the open breaker goes half-open, ending the cooldown early, but never
-- before a Retry-After.
-- args: provider model ok ms kind
local b = load_breaker(a.provider, a.model)
set_breaker(b, { probed = now, probes = int(b.probes) + 1 })
if a.ok and b.state == 'open' and int(b.floor) <= now then
  half_open_breaker(b)
end
return { b.state }

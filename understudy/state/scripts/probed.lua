-- probed: the elected prober reports. It works: the open breaker goes half-open, ending the cooldown early, but never
-- before a Retry-After. It does not: the cooldown lasts past the next probe, so that no live call is spent on finding out.
-- args: provider model ok
local PROBE_LASTS_MS = 6000
local b = load_breaker(a.provider, a.model)
set_breaker(b, { probed = now, probes = int(b.probes) + 1, ok_at = a.ok and now or int(b.ok_at) })
if b.state == 'open' then
  if not a.ok then
    set_breaker(b, { ['until'] = math.max(int(b['until']), now + PROBE_LASTS_MS) })
  elseif int(b.floor) <= now then
    half_open_breaker(b)
  end
end
return { b.state }

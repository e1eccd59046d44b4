-- clear: an operator takes a provider's health for good again: breaker closed, pauses and preference gone.
-- args: provider model queues audit
local b = load_breaker(a.provider, a.model)
close_breaker(b)
for _, queue in ipairs(a.queues) do redis.call('DEL', P .. 'paused:' .. queue) end
local preferred = redis.call('GET', P .. 'preferred')
if preferred and string.find('|' .. preferred .. '|', '|' .. a.provider .. '|', 1, true) then
  redis.call('DEL', P .. 'preferred')
end
audit(a.audit)
return { 'closed' }

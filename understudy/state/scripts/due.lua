-- due: one reconciler at a time gets the calls to look at, at most 500, leases that ran out first; called until empty.
-- args: me queues (every queue there may be)
-- tick hash: last, quiet_until, live:<queue>; tick:lock string; workers sorted set; worker:<id> hash
local TICK_MS, STALE_MS, QUIET_MS, BATCH, BATCHES = 2000, 5000, 10000, 500, 20
local tick, lock = P .. 'tick', P .. 'tick:lock'
if not redis.call('SET', lock, a.me, 'NX', 'PX', TICK_MS) and redis.call('GET', lock) ~= a.me then
  return { 'busy' }
end
local last = redis.call('HGET', tick, 'last')
if last and now - int(last) > TICK_STALE_MS then redis.call('HSET', tick, 'quiet_until', now + QUIET_MS) end
redis.call('HSET', tick, 'last', now)
redis.call('PEXPIRE', tick, DAY_MS)
if is_quiet() then return { 'quiet' } end

-- A queue that lost its last worker: what waits there is looked at now.
local live = {}
redis.call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', now - 60000)
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', now - STALE_MS, '+inf')) do
  for queue in string.gmatch(redis.call('HGET', P .. 'worker:' .. worker, 'queues') or '', '[^,]+') do
    live[queue] = true
  end
end
for _, queue in ipairs(a.queues) do
  local field = 'live:' .. queue
  if live[queue] then
    redis.call('HSET', tick, field, 1)
  elseif redis.call('HGET', tick, field) == '1' then
    redis.call('HSET', tick, field, 0)
    for _, id in ipairs(redis.call('ZRANGE', P .. 'waiting:' .. queue, 0, 9999)) do look_at(id, now) end
  end
end

local due = P .. 'due'
local first, rest = {}, {}

local function look(id)
  local got = redis.call('HMGET', call_key(id), 'st', 'epoch', 'turn', 'deadline', 'lease', 'tells')
  local st, deadline, lease, why = got[1], int(got[4]), int(got[5]), nil
  if not st then
    -- expired while no worker ran
    redis.call('ZREM', due, id)
    for _, queue in ipairs(a.queues) do redis.call('ZREM', P .. 'waiting:' .. queue, id) end
  elseif has_ended({ st = st }) and int(got[6]) >= 5 then
    redis.call('ZREM', due, id)
  elseif has_ended({ st = st }) then
    why = 'tell'
  elseif st == 'R' and lease > now and deadline + 2000 > now then
    look_at_running(id, { deadline = got[4] }, lease)
  elseif st == 'R' then
    why = lease <= now and 'lease' or 'deadline'
  elseif deadline <= now then
    why = 'deadline'
  else
    why = st == 'P' and 'parked' or 'waiting'
  end
  if why then
    look_at(id, now + 5000)
    local row = { id, got[2], got[3], why }
    if why == 'lease' then first[#first + 1] = row else rest[#rest + 1] = row end
  end
end

-- Rows that only had to be tidied away are no answer: an empty one would end the tick.
for _ = 1, BATCHES do
  local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, BATCH)
  for _, id in ipairs(ids) do look(id) end
  if #ids < BATCH or #first + #rest > 0 then break end
end
for _, row in ipairs(rest) do first[#first + 1] = row end
return { 'rows', first }

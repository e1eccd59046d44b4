-- spend:day:<YYYYMMDD>     hash: micro-dollars by total, kind:<k>, model:<m>, provider:<p>, chat:<id>, job:<id>, user:<id>,
--                          hour:<HH>; with `n:` before it how many requests that were; alert:<budget>:<percent>, once said
-- spend:month:<YYYYMM>     hash: the same without users and hours; days, hours and months are those of UTC
-- spend:job:<job>          hash: the same of one batch job, whichever days it runs on
-- spend:late:<id>:<rid>    string: a request that was settled without a record
-- calls:<five minutes>     hash: all, paid: answered calls; alerted:<hour> string: that too many of them were paid
-- alerts                   stream: name, budget, of, percent, used, limit, period
-- call:<id>                rsv:<rid>: amount, day, hour, provider, model of an open reservation; paid:<rid>: the amount
--                          that it settled at, and its day
-- job:<job>                budget_microusd, as its runner or an operator set it
local DAYS_KEPT_MS, MONTHS_KEPT_MS, ALERTS_KEPT_MS, ALERTS_MAXLEN = 35 * DAY_MS, 400 * DAY_MS, 7 * DAY_MS, 1000
local PER = 1000000
-- What the prompt has around each tool, and around each row of what tools did.
local TOOL_FRAME, STEP_FRAME = 64, 500
local SAID_AT = { 50, 80, 100 }
local SHARE_BUCKET_MS, SHARE_BUCKETS, SHARE_CALLS, SHARE_PERCENT = 300000, 12, 20, 5
-- A batch row waits this long before it asks again whether the budget has room.
local SHORT_MS = 30000

local function whole(x) return string.format('%.0f', x) end

-- The day of UTC as YYYYMMDD, by days since 1970: Howard Hinnant's civil_from_days.
local function utc_day(ms)
  local z = math.floor(ms / DAY_MS) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  return string.format('%04d%02d%02d', yoe + era * 400 + (month <= 2 and 1 or 0), month, day)
end

local function utc_hour(ms) return string.format('%02d', math.floor(ms % DAY_MS / HOUR_MS)) end

local function spend_key(span, period) return P .. 'spend:' .. span .. ':' .. period end

local function options_of(c)
  if not c or not c.opts then return {} end
  local ok, read = pcall(cjson.decode, c.opts)
  local given = {}
  for name, value in pairs(ok and read or {}) do
    if value ~= cjson.null then given[name] = value end
  end
  return given
end

-- Adds to every total of a request. at: day, hour, provider, model; requests: how many more it is.
local function charge(c, at, amount, requests)
  local o = options_of(c)
  local fields = { 'total', 'provider:' .. at.provider, 'model:' .. at.model }
  if c and c.kind then fields[#fields + 1] = 'kind:' .. c.kind end
  if o.chat_id then fields[#fields + 1] = 'chat:' .. o.chat_id end
  if o.job then fields[#fields + 1] = 'job:' .. o.job end
  local function add(key, ttl, more)
    for _, list in ipairs({ fields, more }) do
      for _, field in ipairs(list) do
        redis.call('HINCRBY', key, field, whole(amount))
        if requests > 0 then redis.call('HINCRBY', key, 'n:' .. field, requests) end
      end
    end
    redis.call('PEXPIRE', key, ttl)
  end
  add(spend_key('day', at.day), DAYS_KEPT_MS, { 'hour:' .. at.hour, o.user_id and 'user:' .. o.user_id or nil })
  add(spend_key('month', string.sub(at.day, 1, 6)), MONTHS_KEPT_MS, {})
  if o.job then add(spend_key('job', o.job), DAYS_KEPT_MS, {}) end
end

-- What the requests of a call after the first `since` were charged.
local function charged(c, since)
  local sum = 0
  for field, value in pairs(c) do
    local seq = string.match(field, '^rsv:%d+%-(%d+)$') or string.match(field, '^paid:%d+%-(%d+)$')
    if seq and int(seq) > since then sum = sum + int(string.match(value, '^%d+')) end
  end
  return sum
end

-- Bytes of a text in a prompt that writes characters which act as escapes: `\\u003c` has six bytes for one, others of two
-- to four bytes come to three times as many.
local function escaped(text)
  local _, marks = string.gsub(text, '[<>%[%]\\\127]', '')
  local _, wide = string.gsub(text, '[\128-\255]', '')
  return #text + 5 * marks + 2 * wide
end

-- Bytes of the prompt of a call whose request the worker has not seen; a token has at least one.
local function prompt_bytes(c, request, m)
  local bytes = m.frame + (m.escapes and escaped(c.request) or #c.request)
  for _, row in ipairs(steps_of(c)) do bytes = bytes + escaped(row) + STEP_FRAME end
  if type(request.tools) == 'table' and #request.tools > 0 then bytes = bytes + m.tools + TOOL_FRAME * #request.tools end
  return bytes
end

-- The most that the next request of a call can cost. m: input, output, request (micro-dollars for a million), max_tokens,
-- budgets; bytes of all that is sent or, before the worker has seen the request, frame, tools, escapes, asks, free_rules.
local function most(c, m)
  local bytes, tokens = m.bytes, m.max_tokens
  if not bytes then
    local ok, read = pcall(cjson.decode, c.request)
    local request = ok and type(read) == 'table' and read or {}
    if m.free_rules and (request.rules or m.free_rules) == m.free_rules then return 0 end
    if m.asks and type(request.max_tokens) == 'number' then tokens = request.max_tokens end
    bytes = prompt_bytes(c, request, m)
  end
  return math.ceil((bytes * m.input + tokens * m.output + m.request) / PER)
end

-- Every budget that applies to a call: name, of whom, limit, what it counts, the period, and the key where alerts are noted.
local function budgets_of(c, m)
  local b, o = m.budgets or {}, options_of(c)
  local day = utc_day(now)
  local month = string.sub(day, 1, 6)
  local out = {}
  local function add(name, of, limit, span, period, field)
    if not limit then return end
    local key = spend_key(span, period)
    local used = int(redis.call('HGET', key, field))
    out[#out + 1] = { name = name, of = of, limit = limit, used = used, period = period, key = key }
  end
  add('day', '', b.day, 'day', day, 'total')
  add('month', '', b.month, 'month', month, 'total')
  if o.user_id then add('user', o.user_id, b.user_day, 'day', day, 'user:' .. o.user_id) end
  if b.kind_day then add('kind', c.kind, b.kind_day[c.kind], 'day', day, 'kind:' .. c.kind) end
  if o.job then
    local limit = redis.call('HGET', P .. 'job:' .. o.job, 'budget_microusd')
    if limit and limit ~= '' then add('job', o.job, int(limit), 'job', o.job, 'total') end
  end
  if o.max_cost_microusd then out[#out + 1] = { name = 'call', limit = o.max_cost_microusd, used = charged(c, 0) } end
  return out
end

local function alert(name, fields)
  local flat = { 'name', name, 'at', whole(now) }
  for field, value in pairs(fields) do
    flat[#flat + 1] = field
    flat[#flat + 1] = type(value) == 'number' and whole(value) or value
  end
  redis.call('XADD', P .. 'alerts', 'MAXLEN', '~', ALERTS_MAXLEN, '*', unpack(flat))
  redis.call('PEXPIRE', P .. 'alerts', ALERTS_KEPT_MS)
end

-- Says once in its period that a budget is used up to a percentage: as that is crossed, and 100 also as it first denies.
local function say_used(budget, used, denied)
  if not budget.key then return end
  for _, percent in ipairs(SAID_AT) do
    local at = budget.limit * percent / 100
    if budget.used < at and used >= at or denied and percent == 100 then
      local noted = 'alert:' .. budget.name .. ':' .. budget.of .. ':' .. percent
      if redis.call('HSETNX', budget.key, noted, 1) == 1 then
        redis.call('PEXPIRE', budget.key, budget.name == 'month' and MONTHS_KEPT_MS or DAYS_KEPT_MS)
        alert('budget', { budget = budget.name, of = budget.of, percent = percent, used = used, limit = budget.limit,
          period = budget.period })
      end
    end
  end
end

-- The name of the budget that has no room for the next request; none where all have, or where it costs nothing.
local function short_of(c, m)
  if not m then return nil end
  local need = most(c, m)
  if need == 0 then return nil end
  for _, budget in ipairs(budgets_of(c, m)) do
    if budget.used + need > budget.limit then
      say_used(budget, budget.used, true)
      return budget.name
    end
  end
  return nil
end

-- What is reserved for the request that is under way.
local function reserved_of(c) return int(string.match(c['rsv:' .. (c.rid or '')] or '', '^%d+')) end

-- Only after everything was checked: charges the most that the request can cost; returns it.
local function reserve(id, c, rid, m)
  if not m then return 0 end
  local need = most(c, m)
  local at = { day = utc_day(now), hour = utc_hour(now), provider = a.provider, model = a.model }
  local budgets = budgets_of(c, m)
  charge(c, at, need, 1)
  for _, budget in ipairs(budgets) do say_used(budget, budget.used + need) end
  set_call(id, c, { ['rsv:' .. rid] = table.concat({ whole(need), at.day, at.hour, at.provider, at.model }, ' ') })
  return need
end

-- Corrects a request's charge, once, to what it cost: in the periods that were charged, whenever that is. One that Redis
-- has lost is charged now.
local function settle(id, c, rid, cost, r)
  if not cost then return end
  local rsv, paid = 'rsv:' .. rid, 'paid:' .. rid
  local open = c and c[rsv]
  if open then
    local amount, day, hour, provider, model = string.match(open, '^(%d+) (%d+) (%d+) (%S+) (.*)$')
    redis.call('HDEL', call_key(id), rsv)
    c[rsv] = nil
    set_call(id, c, { [paid] = whole(cost) .. ' ' .. day })
    if cost ~= int(amount) then
      charge(c, { day = day, hour = hour, provider = provider, model = model }, cost - int(amount), 0)
    end
    return
  end
  if c and c[paid] or cost == 0 then return end
  if c then
    set_call(id, c, { [paid] = whole(cost) .. ' ' .. utc_day(now) })
  elseif not redis.call('SET', P .. 'spend:late:' .. id .. ':' .. rid, whole(cost), 'NX', 'PX', 3 * DAY_MS) then
    return
  end
  local kind = string.gsub(r.kind, '%.batch$', '')
  local at = { day = utc_day(now), hour = utc_hour(now), provider = r.provider, model = r.model }
  charge(c or { kind = kind }, at, cost, 1)
end

-- An answered call; says once an hour that more of the last hour's calls were paid than a fallback should need.
local function count_answered(is_paid)
  local bucket = math.floor(now / SHARE_BUCKET_MS)
  local key = P .. 'calls:' .. whole(bucket)
  redis.call('HINCRBY', key, 'all', 1)
  if is_paid then redis.call('HINCRBY', key, 'paid', 1) end
  redis.call('PEXPIRE', key, 2 * HOUR_MS)
  if not is_paid then return end
  local all, paid = 0, 0
  for back = 0, SHARE_BUCKETS - 1 do
    local got = redis.call('HMGET', P .. 'calls:' .. whole(bucket - back), 'all', 'paid')
    all, paid = all + int(got[1]), paid + int(got[2])
  end
  if all < SHARE_CALLS or paid * 100 <= all * SHARE_PERCENT then return end
  local hour = utc_day(now) .. utc_hour(now)
  if redis.call('SET', P .. 'alerted:' .. hour, 1, 'NX', 'PX', 2 * HOUR_MS) then
    alert('paid_share', { percent = paid * 100 / all, used = paid, limit = all, period = hour })
  end
end

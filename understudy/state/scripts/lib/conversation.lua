-- conversation:<id>    list: one JSON object a turn, oldest first: {"id": its call, "key": …, "messages": […]}
-- turns:<id>           list: the turns that wait or run, in the order in which they came; the first one runs
-- turn:<id>            hash: until:<ticket>, inbox:<ticket> of each of them; pending, pending_row: call and question of the
--                      turn that runs, until its end is known; forget: a call that ran when the history was cleared
local TURNS_TTL_MS = 2 * DAY_MS

local function turns_key(id) return P .. 'turns:' .. id end
local function turn_key(id) return P .. 'turn:' .. id end
local function history_key(id) return P .. 'conversation:' .. id end

-- The place at the head; those whose client has died are gone.
local function head_of(id)
  while true do
    local ticket = redis.call('LINDEX', turns_key(id), 0)
    if not ticket or int(redis.call('HGET', turn_key(id), 'until:' .. ticket)) > now then return ticket end
    redis.call('LPOP', turns_key(id))
    redis.call('HDEL', turn_key(id), 'until:' .. ticket, 'inbox:' .. ticket)
  end
end

local function wake(id, ticket)
  local inbox = ticket and redis.call('HGET', turn_key(id), 'inbox:' .. ticket)
  if inbox then tell(inbox, ticket, 'turn', 0, 0, '') end
end

local function is_turn(row, call)
  local head = '{"id":"' .. call .. '"'
  return string.sub(row, 1, #head) == head
end

-- Adds a turn to the history, unless it is there; `first` names the oldest one that stays.
local function add_turn(id, call, row, first, ttl_ms)
  if redis.call('HGET', turn_key(id), 'forget') == call then return end
  local rows = redis.call('LRANGE', history_key(id), 0, -1)
  local drop = 0
  for i, old in ipairs(rows) do
    if is_turn(old, call) then return end
    if first and is_turn(old, first) then drop = i - 1 end
  end
  if first == call then drop = #rows end
  if drop > 0 then redis.call('LPOP', history_key(id), drop) end
  redis.call('RPUSH', history_key(id), row)
  redis.call('PEXPIRE', history_key(id), ttl_ms)
end

-- The end of a call is known: the next turn need not look for it.
local function settle_turn(id, call)
  if redis.call('HGET', turn_key(id), 'pending') == call then
    redis.call('HDEL', turn_key(id), 'pending', 'pending_row')
  end
end

-- step: a worker keeps what came of a model turn: its message with the start of its tools, or the end of one of them.
-- args: id epoch n rows turn; n is the number of the first row, turn says that a model turn ended
-- Rows are text that only workers read. Requests are capped by model turn: from here on they count anew.
local key = call_key(a.id)
local got = redis.call('HMGET', key, 'st', 'epoch', 'steps', 'step_bytes', 'requests')
if got[1] ~= 'R' or int(got[2]) ~= a.epoch then return { 'lost' } end
local have, bytes = int(got[3]), int(got[4])
if a.n > have + 1 then return { 'gap', 'have', have } end
local flat = {}
for i, row in ipairs(a.rows) do
  local name = 'step:' .. string.format('%.0f', a.n + i - 1)
  if a.n + i - 1 <= have then
    -- a repeat after a lost reply: only this epoch can have written it
    if redis.call('HGET', key, name) ~= row then return { 'lost' } end
  else
    flat[#flat + 1] = name
    flat[#flat + 1] = row
    bytes = bytes + #row
  end
end
if #flat == 0 then return { 'stored' } end
if bytes > a.max_bytes then return { 'full' } end
redis.call('HSET', key, 'steps', a.n + #a.rows - 1, 'step_bytes', bytes, unpack(flat))
if a.turn then redis.call('HSET', key, 'turn_base', got[5]) end
return { 'stored' }

-- KEYS leases sessions records; ARGV name, empty for all. Four values for each agent.
local leases, sessions, records = unpack(KEYS)
local now = now_ms()
local found = {'ok'}
local function add(name, ends)
  local left = tonumber(ends) - now
  if left > 0 then
    found[#found + 1] = name
    found[#found + 1] = redis.call('HGET', sessions, name)
    found[#found + 1] = redis.call('HGET', records, name)
    found[#found + 1] = text(left)
  end
end
if ARGV[1] ~= '' then
  add(ARGV[1], redis.call('ZSCORE', leases, ARGV[1]) or 0)
  return found
end
local rows = redis.call('ZRANGEBYSCORE', leases, '(' .. text(now), '+inf', 'WITHSCORES')
for i = 1, #rows, 2 do
  add(rows[i], rows[i + 1])
end
return found

-- KEYS leases sessions claims; ARGV resource token
local leases, sessions, claims = unpack(KEYS)
local held = living_claim(leases, sessions, claims, ARGV[1], now_ms())
if held ~= ARGV[2] then
  return {'ok', '0'}
end
redis.call('HDEL', claims, ARGV[1])
return {'ok', '1'}

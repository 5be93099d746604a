-- KEYS leases sessions claims; ARGV resource
local leases, sessions, claims = unpack(KEYS)
local token, _, holder, left = living_claim(leases, sessions, claims, ARGV[1], now_ms())
if not token then
  return {'ok'}
end
return {'ok', token, holder, text(left)}

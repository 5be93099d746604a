-- KEYS leases sessions; ARGV name session lease_ms
local leases, sessions = unpack(KEYS)
local name, session, lease_ms = unpack(ARGV)
local now = now_ms()
if lease_left(leases, sessions, name, session, now) == 0 then
  return {'ended'}
end
redis.call('ZADD', leases, text(now + lease_ms), name)
return {'ok'}

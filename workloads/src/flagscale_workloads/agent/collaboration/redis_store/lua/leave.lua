-- KEYS leases sessions records nonces; ARGV name session
local leases, sessions, records, nonces = unpack(KEYS)
local name, session = unpack(ARGV)
if redis.call('HGET', sessions, name) ~= session then
  return {'ok', '0'}
end
local lived = lease_left(leases, sessions, name, session, now_ms()) > 0
redis.call('ZREM', leases, name)
redis.call('HDEL', sessions, name)
redis.call('HDEL', records, name)
redis.call('HDEL', nonces, name)
return {'ok', lived and '1' or '0'}

-- KEYS leases sessions records nonces counter; ARGV name record nonce lease_ms take_over limit
local leases, sessions, records, nonces, counter = unpack(KEYS)
local name, record, nonce, lease_ms, take_over, limit = unpack(ARGV)
local now = now_ms()
local function forget(gone)
  redis.call('ZREM', leases, gone)
  redis.call('HDEL', sessions, gone)
  redis.call('HDEL', records, gone)
  redis.call('HDEL', nonces, gone)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 100)) do
  forget(gone)
end
local left = tonumber(redis.call('ZSCORE', leases, name) or 0) - now
local session = redis.call('HGET', sessions, name)
local again = left > 0 and redis.call('HGET', nonces, name) == nonce
if left > 0 and not again and take_over == '0' then
  return {'taken', text(left)}
end
if left <= 0 and redis.call('ZCOUNT', leases, '(' .. text(now), '+inf') >= tonumber(limit) then
  return {'limit', limit}
end
if not again then
  session = text(redis.call('INCR', counter))
end
redis.call('ZADD', leases, text(now + lease_ms), name)
redis.call('HSET', sessions, name, session)
redis.call('HSET', records, name, record)
redis.call('HSET', nonces, name, nonce)
return {'ok', session}

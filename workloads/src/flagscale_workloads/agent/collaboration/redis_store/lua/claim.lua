-- KEYS leases sessions claims counter; ARGV resource name session at_most_ms limit
local leases, sessions, claims, counter = unpack(KEYS)
local resource, name, session, at_most_ms, limit = unpack(ARGV)
local now = now_ms()
local lease = lease_left(leases, sessions, name, session, now)
if lease == 0 then
  return {'ended'}
end
local token, holding, holder, left = living_claim(leases, sessions, claims, resource, now)
if token and holding ~= session then
  return {'held', holder, text(left)}
end
if not token then
  if redis.call('HLEN', claims) >= tonumber(limit) then
    for _, other in ipairs(redis.call('HKEYS', claims)) do
      if not living_claim(leases, sessions, claims, other, now) then
        redis.call('HDEL', claims, other)
      end
    end
    if redis.call('HLEN', claims) >= tonumber(limit) then
      return {'limit', limit}
    end
  end
  token = text(redis.call('INCR', counter))
end
local ends = 0
if tonumber(at_most_ms) > 0 then
  ends = now + at_most_ms
  lease = math.min(lease, at_most_ms)
end
redis.call('HSET', claims, resource, table.concat({token, session, text(ends), name}, ' '))
return {'ok', token, text(lease)}

-- KEYS leases sessions claims values metas versions; ARGV key expected resource token
local leases, sessions, claims, values, metas, versions = unpack(KEYS)
local key, expected, resource, token = unpack(ARGV)
local version, fence = entry(metas, key)
local refused = refusal(leases, sessions, claims, resource, token, version, fence, expected)
if refused then
  return refused
end
redis.call('HDEL', values, key)
redis.call('HDEL', metas, key)
redis.call('ZREM', versions, key)
return {'ok', version > 0 and '1' or '0'}

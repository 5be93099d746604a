-- KEYS leases sessions claims counter values metas versions
-- ARGV key value writer nonce expected resource token limit; expected empty: any version
local leases, sessions, claims, counter, values, metas, versions = unpack(KEYS)
local key, value, writer, nonce, expected, resource, token, limit = unpack(ARGV)
local version, fence, wrote = entry(metas, key)
if wrote == nonce then
  return {'ok', text(version)}
end
local refused = refusal(leases, sessions, claims, resource, token, version, fence, expected)
if refused then
  return refused
end
if version == 0 and redis.call('HLEN', metas) >= tonumber(limit) then
  return {'limit', limit}
end
version = text(redis.call('INCR', counter))
redis.call('HSET', values, key, value)
redis.call('HSET', metas, key, table.concat({version, token, writer, nonce}, ' '))
redis.call('ZADD', versions, version, key)
return {'ok', version}

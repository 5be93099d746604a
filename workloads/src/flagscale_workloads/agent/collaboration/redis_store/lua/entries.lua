-- KEYS values metas versions; ARGV key, empty for changes; after; count. Three values for each.
local values, metas, versions = unpack(KEYS)
local keys = {ARGV[1]}
if ARGV[1] == '' then
  keys = redis.call('ZRANGEBYSCORE', versions, '(' .. ARGV[2], '+inf', 'LIMIT', 0, ARGV[3])
end
local found = {'ok'}
for _, key in ipairs(keys) do
  local meta = redis.call('HGET', metas, key)
  if meta then
    found[#found + 1] = key
    found[#found + 1] = redis.call('HGET', values, key)
    found[#found + 1] = meta
  end
end
return found

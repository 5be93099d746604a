-- KEYS stream channels; ARGV channel group start limit groups
local stream, channels = unpack(KEYS)
local channel, group, start, limit, groups = unpack(ARGV)
local exists = redis.call('EXISTS', stream) == 1
if not exists and redis.call('SISMEMBER', channels, channel) == 0 and
    redis.call('SCARD', channels) >= tonumber(limit) then
  return {'limit', limit, 'channels'}
end
local count = 0
if exists then
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    count = count + 1
    if row[2] == group then
      return {'ok', '0'}
    end
  end
end
if count >= tonumber(groups) then
  return {'limit', groups, 'groups of the channel'}
end
redis.call('SADD', channels, channel)
redis.call('XGROUP', 'CREATE', stream, group, start, 'MKSTREAM')
return {'ok', '1'}

-- KEYS stream keys channels; ARGV channel sender body key length limit
-- keys: hash, a sender's own key of a message -> its id, for as long as the message is kept.
local stream, keys, channels = unpack(KEYS)
local channel, sender, body, key, length, limit = unpack(ARGV)
local known = redis.call('HGET', keys, key)
if known then
  return {'ok', known}
end

local function parts(id)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

local function after(one, other)
  local ms, sequence = parts(one)
  local other_ms, other_sequence = parts(other)
  return ms > other_ms or (ms == other_ms and sequence > other_sequence)
end

-- The group that still needs a message: it was not delivered, or nobody acknowledged it.
local function needing(id)
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #row, 2 do
      group[row[i]] = row[i + 1]
    end
    if after(id, group['last-delivered-id']) then
      return group['name']
    end
    local oldest = redis.call('XPENDING', stream, group['name'])[2]
    if oldest and not after(oldest, id) then
      return group['name']
    end
  end
  return nil
end

if redis.call('EXISTS', stream) == 0 then
  if redis.call('SCARD', channels) >= tonumber(limit) and
      redis.call('SISMEMBER', channels, channel) == 0 then
    return {'limit', limit}
  end
  redis.call('SADD', channels, channel)
end
local excess = redis.call('XLEN', stream) - length + 1
if excess > 0 then
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', excess)
  local group = needing(oldest[#oldest][1])
  if group then
    return {'full', text(redis.call('XLEN', stream)), group}
  end
  for _, message in ipairs(oldest) do
    redis.call('HDEL', keys, message[2][6])
  end
  redis.call('XTRIM', stream, 'MAXLEN', text(length - 1))
end
local id = redis.call('XADD', stream, '*', 'sender', sender, 'body', body, 'key', key)
redis.call('HSET', keys, key, id)
return {'ok', id}

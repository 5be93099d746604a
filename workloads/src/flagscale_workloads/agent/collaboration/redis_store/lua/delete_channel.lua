-- KEYS stream keys channels; ARGV channel
local known = redis.call('SREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[2])
return {'ok', text(known)}

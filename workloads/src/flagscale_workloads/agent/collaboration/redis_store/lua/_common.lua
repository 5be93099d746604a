-- What all scripts share. Times are milliseconds by this server's clock and nobody else's.
-- leases: sorted set, agent -> when its lease ends; sessions: hash, agent -> session.
-- claims: hash, resource -> "token session ends agent", ends 0: with the agent's lease.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(number)
  return string.format('%.0f', number)
end

-- Milliseconds left of an agent's lease; 0 when it is gone, or when another session took its name.
local function lease_left(leases, sessions, name, session, now)
  if redis.call('HGET', sessions, name) ~= session then
    return 0
  end
  return math.max(0, tonumber(redis.call('ZSCORE', leases, name) or 0) - now)
end

-- A claim's token, session, holder and the milliseconds left of it; nothing when none holds.
local function living_claim(leases, sessions, claims, resource, now)
  local row = redis.call('HGET', claims, resource)
  if not row then
    return nil
  end
  local token, session, ends, name = string.match(row, '^(%d+) (%d+) (%d+) (%S+)$')
  local left = lease_left(leases, sessions, name, session, now)
  if tonumber(ends) > 0 then
    left = math.min(left, tonumber(ends) - now)
  end
  if left <= 0 then
    return nil
  end
  return token, session, name, left
end

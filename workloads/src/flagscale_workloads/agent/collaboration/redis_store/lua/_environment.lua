-- metas: hash, key -> "version token writer nonce"; versions: sorted set, key -> version.

local function entry(metas, key)
  local row = redis.call('HGET', metas, key)
  if not row then
    return 0, 0, ''
  end
  local version, token, _, nonce = string.match(row, '^(%d+) (%d+) (%S+) (%S+)$')
  return tonumber(version), tonumber(token), nonce
end

-- Why a write may not happen; nothing when it may.
local function refusal(leases, sessions, claims, resource, token, version, fence, expected)
  if resource ~= '' then
    local held = living_claim(leases, sessions, claims, resource, now_ms())
    if held ~= token then
      return {'stale', held or '0'}
    end
    if fence > tonumber(token) then
      return {'stale', text(fence)}
    end
  elseif fence > 0 then
    return {'guarded', text(fence)}
  end
  if expected ~= '' and tonumber(expected) ~= version then
    return {'conflict', text(version)}
  end
  return nil
end

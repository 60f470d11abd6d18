-- All that changes what replicas share, and all that looks for it: each call is one step for everybody.
-- ARGV: what to do, the replica that wants it, the number of its lease, and what it is about.
--
-- hypha:number                     the last number of a lease, generation or place
-- hypha:leases, :expiry, :facts    number of its lease, when that ends (ms), what it tells of itself; by replica
-- hypha:r:{replica}:clients        packed {workspace, id} of those that stand on its lease
-- hypha:r:{replica}:watched        workspaces whose changes it hears
-- hypha:r:{replica}:told:<lease>   the changes that it has not read yet, a stream
-- hypha:w:{workspace}:clients      packed {user, live, facts, replica, generation}, by id
-- hypha:w:{workspace}:services     packed {type, app, flags, record, order}, by packed {client, name}
-- hypha:w:{workspace}:<index>      those that have something in common, in their order
-- hypha:w:{workspace}:used         how many count, and what they take; also by client
-- hypha:w:{workspace}:watchers     replicas that hear its changes
-- hypha:public:<index>             packed {workspace, client, name} of public services

local action, me, lease = ARGV[1], ARGV[2], ARGV[3]
local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack
local LEASES, EXPIRY, FACTS = 'hypha:leases', 'hypha:expiry', 'hypha:facts'
local PUBLIC, SINGLETON, BUILT_IN = 1, 2, 4
local TYPE, APP, FLAGS, RECORD, ORDER = 1, 2, 3, 4, 5
local LIVE, REPLICA, GENERATION = 2, 4, 5

local function of_workspace(workspace, kind) return 'hypha:w:{' .. workspace .. '}:' .. kind end
local function of_replica(replica, kind) return 'hypha:r:{' .. replica .. '}:' .. kind end
local function has(service, flag) return math.floor(service[FLAGS] / flag) % 2 == 1 end

local function now_us()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Larger than any before, also if Redis was emptied meanwhile.
local function next_number()
  local number = math.max(now_us(), tonumber(call('GET', 'hypha:number') or '0') + 1)
  local text = string.format('%.0f', number)
  call('SET', 'hypha:number', text)
  return text
end

-- What others hear

local function post(replica, change)
  local number = call('HGET', LEASES, replica)
  if number then call('XADD', of_replica(replica, 'told:' .. number), '*', 'c', change) end
end

local function tell(change, workspace, by, owner)
  local hearers = {}
  for _, replica in ipairs(call('SMEMBERS', of_workspace(workspace, 'watchers'))) do hearers[replica] = true end
  if owner then hearers[owner] = true end
  hearers[by] = nil
  if next(hearers) == nil then return end
  local packed = pack(change)
  for replica in pairs(hearers) do post(replica, packed) end
end

local function client_parts(workspace, id, client)
  return {workspace, id, client[1], client[2], client[3], client[4], client[5]}
end

local function service_parts(workspace, id, name, service, client)
  return {workspace, id, name, service[1], service[2], service[3], service[4], service[5],
          client[LIVE], client[REPLICA], client[GENERATION]}
end

-- Clients and services

local function find_client(workspace, id)
  local packed = call('HGET', of_workspace(workspace, 'clients'), id)
  return packed and unpacked(packed)
end

local function find_service(workspace, field)
  local packed = call('HGET', of_workspace(workspace, 'services'), field)
  return packed and unpacked(packed)
end

local function put_client(workspace, id, client)
  call('HSET', of_workspace(workspace, 'clients'), id, pack(client))
  call('SADD', of_replica(client[REPLICA], 'clients'), pack({workspace, id}))
end

local function forget_client(workspace, id, client)
  call('HDEL', of_workspace(workspace, 'clients'), id)
  call('SREM', of_replica(client[REPLICA], 'clients'), pack({workspace, id}))
end

local function indexes(workspace, id, name, service)
  local parts = {'name:' .. name, 'type:' .. service[TYPE], 'app:' .. service[APP]}
  local own = {of_workspace(workspace, 'all'), of_workspace(workspace, 'client:' .. id)}
  local public = {}
  for _, part in ipairs(parts) do table.insert(own, of_workspace(workspace, part)) end
  if has(service, SINGLETON) then table.insert(own, of_workspace(workspace, 'singleton:' .. name)) end
  if has(service, PUBLIC) then
    table.insert(public, 'hypha:public:all')
    for _, part in ipairs(parts) do table.insert(public, 'hypha:public:' .. part) end
  end
  return own, public
end

local function count(workspace, id, service, sign)
  if has(service, BUILT_IN) then return end
  local key, size = of_workspace(workspace, 'used'), sign * #service[RECORD] + 0 -- never -0
  for _, holder in ipairs({'', ':' .. id}) do
    call('HINCRBY', key, 'bytes' .. holder, size)
    if call('HINCRBY', key, 'count' .. holder, sign) == 0 then
      call('HDEL', key, 'bytes' .. holder, 'count' .. holder)
    end
  end
end

local function take_out(workspace, id, name, service)
  local field = pack({id, name})
  local own, public = indexes(workspace, id, name, service)
  for _, key in ipairs(own) do call('ZREM', key, field) end
  for _, key in ipairs(public) do call('ZREM', key, pack({workspace, id, name})) end
  call('HDEL', of_workspace(workspace, 'services'), field)
  count(workspace, id, service, -1)
end

local function put_in(workspace, id, name, service)
  local field = pack({id, name})
  local own, public = indexes(workspace, id, name, service)
  for _, key in ipairs(own) do call('ZADD', key, service[ORDER], field) end
  for _, key in ipairs(public) do call('ZADD', key, service[ORDER], pack({workspace, id, name})) end
  call('HSET', of_workspace(workspace, 'services'), field, pack(service))
  count(workspace, id, service, 1)
end

local function drop(workspace, id, name, service, client, by, lost)
  take_out(workspace, id, name, service)
  tell({'-', service_parts(workspace, id, name, service, client), lost or 0}, workspace, by, client[REPLICA])
end

local function drop_all(workspace, id, client, by, lost)
  for _, field in ipairs(call('ZRANGE', of_workspace(workspace, 'client:' .. id), 0, -1)) do
    drop(workspace, id, unpacked(field)[2], find_service(workspace, field), client, by, lost)
  end
end

local function remove(workspace, id, client, by, lost)
  drop_all(workspace, id, client, by, lost)
  forget_client(workspace, id, client)
  tell({'l', client_parts(workspace, id, client), lost or 0}, workspace, by)
end

-- The client of that id if it is that stay at the one who asks
local function own_client(workspace, id, generation)
  local client = find_client(workspace, id)
  return client and client[GENERATION] == generation and client[REPLICA] == me and client
end

-- Leases

local function finish(replica)
  local number = call('HGET', LEASES, replica)
  call('HDEL', LEASES, replica)
  call('ZREM', EXPIRY, replica)
  call('HDEL', FACTS, replica)
  for _, workspace in ipairs(call('SMEMBERS', of_replica(replica, 'watched'))) do
    call('SREM', of_workspace(workspace, 'watchers'), replica)
  end
  for _, place in ipairs(call('SMEMBERS', of_replica(replica, 'clients'))) do
    local workspace, id = unpack(unpacked(place))
    local client = find_client(workspace, id)
    if client and client[REPLICA] == replica then remove(workspace, id, client, replica, 1) end
  end
  call('DEL', of_replica(replica, 'watched'), of_replica(replica, 'clients'))
  if number then call('DEL', of_replica(replica, 'told:' .. number)) end
  local ended = pack({'r', {replica}})
  for _, other in ipairs(call('HKEYS', LEASES)) do post(other, ended) end
end

local function holds() return call('HGET', LEASES, me) == lease end
local function now_ms() return math.floor(now_us() / 1000) end
local does = {}

function does.open(lease_ms, facts)
  if call('HEXISTS', LEASES, me) == 1 then finish(me) end
  local number = next_number()
  call('HSET', LEASES, me, number)
  call('ZADD', EXPIRY, now_ms() + lease_ms, me)
  call('HSET', FACTS, me, facts)
  return number
end

function does.renew(lease_ms)
  local now = now_ms()
  call('ZADD', EXPIRY, now + lease_ms, me)
  for _, replica in ipairs(call('ZRANGEBYSCORE', EXPIRY, '-inf', '(' .. string.format('%.0f', now))) do
    finish(replica)
  end
end

function does.close() finish(me) end

-- What is wished of clients and services

function does.enter(workspace, id, user, live, facts, over, keeps)
  local known = find_client(workspace, id)
  if known and known[GENERATION] ~= over then return {'taken', pack(client_parts(workspace, id, known))} end
  if known then
    if keeps == '0' then drop_all(workspace, id, known, me) end
    forget_client(workspace, id, known)
  end
  local client = {user, tonumber(live), facts, me, next_number()}
  put_client(workspace, id, client)
  local parts = client_parts(workspace, id, client)
  tell({'e', parts, known and known[GENERATION] or ''}, workspace, me, known and known[REPLICA])
  return {'entered', pack(parts)}
end

function does.leave(workspace, id, generation)
  local client = own_client(workspace, id, generation)
  if client then remove(workspace, id, client, me) end
end

function does.change(workspace, id, generation, live)
  local client = own_client(workspace, id, generation)
  if not client or client[LIVE] == tonumber(live) then return end
  client[LIVE] = tonumber(live)
  put_client(workspace, id, client)
  tell({'c', client_parts(workspace, id, client)}, workspace, me)
end

-- Those of other clients that cannot be beside it under its name
local function find_rivals(workspace, id, name, service)
  local rivals = {}
  local kind = has(service, SINGLETON) and 'name:' or 'singleton:'
  for _, field in ipairs(call('ZRANGE', of_workspace(workspace, kind .. name), 0, -1)) do
    local other = unpacked(field)[1]
    local found = find_service(workspace, field)
    if other ~= id and not has(found, BUILT_IN) then
      table.insert(rivals, {other, found, find_client(workspace, other)})
    end
  end
  return rivals
end

-- Whether there is no room: whose, and how much is used
local function find_full(workspace, id, service, known, most)
  local more_count, more_size = known and 0 or 1, #service[RECORD] - (known and #known[RECORD] or 0)
  for number, holder in ipairs({':' .. id, ''}) do
    local used = call('HMGET', of_workspace(workspace, 'used'), 'count' .. holder, 'bytes' .. holder)
    local used_count, used_size = tonumber(used[1] or '0'), tonumber(used[2] or '0')
    local most_count, most_size = tonumber(most[2 * number - 1]), tonumber(most[2 * number])
    if (more_count > 0 and most_count > 0 and most_count < used_count + 1)
        or (more_size > 0 and most_size > 0 and most_size < used_size + more_size) then
      return {'full', number - 1, used_count, used_size}
    end
  end
end

local function packed_service(workspace, id, name, service, client)
  return pack(service_parts(workspace, id, name, service, client))
end

function does.offer(workspace, id, name, generation, type, app, flags, record, ...)
  local client = own_client(workspace, id, generation)
  if not client then return {'superseded'} end
  local service = {type, app, tonumber(flags), record, '0'}
  local field = pack({id, name})
  local known = find_service(workspace, field)
  local rivals = {}
  if not has(service, BUILT_IN) then
    rivals = find_rivals(workspace, id, name, service)
    for _, rival in ipairs(rivals) do
      if rival[3][LIVE] == 1 then return {'rival', packed_service(workspace, rival[1], name, rival[2], rival[3])} end
    end
    local full = find_full(workspace, id, service, known, {...})
    if full then return full end
  end
  local displaced = {}
  for _, rival in ipairs(rivals) do
    table.insert(displaced, packed_service(workspace, rival[1], name, rival[2], rival[3]))
    drop(workspace, rival[1], name, rival[2], rival[3], me)
  end
  service[ORDER] = known and known[ORDER] or next_number()
  if known then take_out(workspace, id, name, known) end
  put_in(workspace, id, name, service)
  local parts = service_parts(workspace, id, name, service, client)
  local before = known and service_parts(workspace, id, name, known, client) or ''
  if not known or pack(known) ~= pack(service) then tell({'+', parts, before}, workspace, me) end
  return {'offered', pack(parts), known and pack(before) or '', unpack(displaced)}
end

function does.withdraw(workspace, id, name, generation)
  local client = find_client(workspace, id)
  local known = client and client[GENERATION] == generation and find_service(workspace, pack({id, name}))
  if not known then return {'nothing'} end
  drop(workspace, id, name, known, client, me)
  return {'withdrawn', packed_service(workspace, id, name, known, client)}
end

function does.watch(workspace)
  call('SADD', of_workspace(workspace, 'watchers'), me)
  call('SADD', of_replica(me, 'watched'), workspace)
end

function does.unwatch(workspace)
  call('SREM', of_workspace(workspace, 'watchers'), me)
  call('SREM', of_replica(me, 'watched'), workspace)
end

-- What anybody may ask

local asks = {}

function asks.replicas() return call('HGETALL', FACTS) end

local function smallest(keys)
  local found, size
  for _, key in ipairs(keys) do
    local members = call('ZCARD', key)
    if not size or members < size then found, size = key, members end
  end
  return found
end

-- Each part that is asked for begins with '='; what is empty is left open.
local function given(part) return part ~= '' and string.sub(part, 2) or nil end

function asks.services(workspace, id, name, type, app, limit)
  local place, wanted_id = given(workspace), given(id)
  local parts = {name = given(name), type = given(type), app = given(app)}
  local keys = {place and of_workspace(place, 'all') or 'hypha:public:all'}
  for kind, value in pairs(parts) do
    local part = kind .. ':' .. value
    table.insert(keys, place and of_workspace(place, part) or 'hypha:public:' .. part)
  end
  if place and wanted_id then table.insert(keys, of_workspace(place, 'client:' .. wanted_id)) end
  local found, clients = {}, {}
  for _, member in ipairs(call('ZRANGE', smallest(keys), 0, -1)) do
    local where, its_id, its_name = place, unpack(unpacked(member))
    if not place then where, its_id, its_name = unpack(unpacked(member)) end
    local service = find_service(where, pack({its_id, its_name}))
    if (not wanted_id or its_id == wanted_id) and (not parts.name or its_name == parts.name)
        and (not parts.type or service[TYPE] == parts.type) and (not parts.app or service[APP] == parts.app) then
      local key = pack({where, its_id})
      clients[key] = clients[key] or find_client(where, its_id)
      table.insert(found, packed_service(where, its_id, its_name, service, clients[key]))
      if place and #found >= tonumber(limit) then break end
    end
  end
  return found
end

if asks[action] then return asks[action](unpack(ARGV, 2)) end
if action ~= 'open' and not holds() then return {'lost'} end
return does[action](unpack(ARGV, 4)) or {'done'}

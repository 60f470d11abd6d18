-- What the bus does in Redis beside adding to one stream. ARGV: what to do, the replica that wants it, and more.
--
-- hypha:b:{replica}                what comes for it: a stream, there while it can be reached
-- hypha:b:{replica}:session        which run of it reads that stream
-- hypha:b:replicas                 all that could be reached when they came
-- hypha:w:{workspace}:listeners    replicas that get its events

local action, me = ARGV[1], ARGV[2]
local call = redis.call
local REPLICAS = 'hypha:b:replicas'
local function stream_of(replica) return 'hypha:b:{' .. replica .. '}' end
local function listeners_of(workspace) return 'hypha:w:{' .. workspace .. '}:listeners' end
local does = {}

-- Whoever read the stream before learns from its first entry that it is not its own any more.
function does.open(session, ttl_ms)
  local stream = stream_of(me)
  call('DEL', stream)
  call('SET', stream .. ':session', session, 'PX', ttl_ms)
  call('SADD', REPLICAS, me)
  local place = call('XADD', stream, '*', 's', session)
  call('PEXPIRE', stream, ttl_ms)
  return place
end

-- Still there, and its own: then it lasts from now on; what has been read goes.
function does.stay(session, ttl_ms, place)
  local stream = stream_of(me)
  if call('GET', stream .. ':session') ~= session then return 0 end
  call('PEXPIRE', stream .. ':session', ttl_ms)
  call('XTRIM', stream, 'MINID', '~', place)
  return call('PEXPIRE', stream, ttl_ms)
end

local function remove(replica)
  call('DEL', stream_of(replica), stream_of(replica) .. ':session')
  call('SREM', REPLICAS, replica)
end

function does.close(session, ...)
  if call('GET', stream_of(me) .. ':session') ~= session then return end
  remove(me)
  for _, workspace in ipairs({...}) do call('SREM', listeners_of(workspace), me) end
end

function does.forget(replica) remove(replica) end

local function add_to_all(set, parcels)
  for _, replica in ipairs(call('SMEMBERS', set)) do
    if replica ~= me and not call('XADD', stream_of(replica), 'NOMKSTREAM', '*', me, parcels) then
      call('SREM', set, replica)
    end
  end
end

function does.tell(parcels) add_to_all(REPLICAS, parcels) end
function does.publish(workspace, parcels) add_to_all(listeners_of(workspace), parcels) end
function does.listen(workspace) call('SADD', listeners_of(workspace), me) end
function does.unlisten(workspace) call('SREM', listeners_of(workspace), me) end

return does[action](unpack(ARGV, 3))

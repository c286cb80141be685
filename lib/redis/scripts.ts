// What happens in Redis, each script whole or not at all. A topic has two keys: a stream of its entries and, in a string, how it
// stands: `due left room max bytes ttl server fence epoch.ms-seq`. Any of them may be gone at any time, by expiry, eviction or FLUSHALL:
// what cannot be trusted any more begins anew, with another epoch, so that clients are told.
//
// To Lua each string that it makes is a hash, a copy and garbage, and each match of a pattern a loop over characters: of a publish that is most of
// what it costs Redis. So the parts that every publish changes stand in front and have one width, the rest is compared as it is,
// and an entry goes to the stream and to pub/sub as the one string that came.
import { EPOCH_LENGTH } from './epochs.js'

/**
 * Milliseconds for which it is remembered how a topic stands, since anybody published to it or heard it: a week more than the longest
 * history. A client that comes back later is told that its place is not known.
 */
export const META_MS = 2_147_483_647 + 604_800_000

/**
 * Likewise, of a topic that nobody has published to: to ask for one is enough to have it, and anybody may ask for as many as there
 * are names. It counts from when the last one left who heard it.
 */
export const UNPUBLISHED_MS = 600_000

/** Keys that nobody asked for, where a client library may send a command twice. It does so at once or not at all. */
export const REPEAT_MS = 30_000

/** As the broker's interface says. */
export const DEDUPE_MS = 120_000

/** Entries that one script removes at most, so that it does not hold up Redis. The next one goes on. */
const MAX_REMOVED = 128

/** Entries that are looked at together, where a page may end behind any of them: few at first, since they may be large. */
const STRIDE = { least: 4, most: 64 }

/**
 * What may come before the oldest entries are looked at, and expiry is put off: so many entries, such a part of the bytes that may be kept, and so many
 * milliseconds or such a part of the time for which entries are kept. Until then there may be as much more than is to be kept; nobody is given it.
 */
const LOOK = { entries: 16, bytes: 1 / 16, ms: 60_000, time: 1 / 4 }

/** Where the parts of how a topic stands begin, and `kept`, which has no width of its own. */
const AT = { left: 15, room: 18, kept: 35 }

/**
 * How the topic stands, which is `stand`, with its epoch and its head, or as a new one. A missing string with a stream that is still there says nothing of what has
 * been removed from it since, so the stream goes too.
 *
 * Positions are compared and kept as text, as far as that goes: to Lua, making a number of a text or a text of a number costs as
 * much as a command of Redis. Milliseconds have 13 digits until the year 2286.
 */
const STAND = `
local time = redis.call('TIME')
local now = time[1] .. string.sub('00000' .. time[2], -6, -4)
local epoch, ms, seq, left, room, due, max, most, ttl, server, fence, bytes
local function limit (most) return math.floor(most * (1 + ${LOOK.bytes})) end
local function standing (due, left, room, max, most, ttl, server, fence, head)
  return string.format('%s %02d %016d %s %s %s %s %s %s', due, left, room, max, most, ttl, server, fence, head)
end
if stand then
  due, left, room, max, most, ttl, server, fence, head, epoch, ms, seq = string.match(stand, '^(%d+) (%d+) (%S+) (%d+) (%d+) (%d+) (%S+) (%d+) ((%S+)%.(%d+)-(%d+))$')
end
if epoch then bytes = limit(most) - room else redis.call('DEL', KEYS[1]) end
`

/**
 * Removes what is too much or too old, but never the newest entry. Gives the bytes that are left, and how many entries may come before
 * the next look: none where some had to be left for it.
 */
const TRIM = `
local function trim (length, bytes, max, most, ttl)
  local removed, from, isDone = 0, '-', false
  while not isDone and removed < ${MAX_REMOVED} do
    local tooMany = math.max(1, math.min(length - removed - max, ${LOOK.entries}))
    local some = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', tooMany)
    if #some == 0 then isDone = true end
    for _, oldest in ipairs(some) do
      local isTooOld = tonumber(string.match(oldest[1], '^%d+')) < now - ttl
      isDone = length - removed <= 1 or not (isTooOld or length - removed > max or bytes > most)
      if isDone then break end
      bytes = bytes - #oldest[2][4]
      removed = removed + 1
      from = '(' .. oldest[1]
    end
  end
  if removed > 0 then redis.call('XTRIM', KEYS[1], 'MAXLEN', length - removed) end
  return bytes, isDone and ${LOOK.entries} or 0
end
`

/** Until when a stream need not be told again that it is in use. */
const DUE = `
local function putOff (ttl) return math.min(math.floor(ttl * ${LOOK.time}), ${LOOK.ms}) end
local function dueFrom (ms, ttl) return string.format('%.0f', ms + putOff(ttl)) end
`

/**
 * Appends an entry and tells of it.
 *
 * KEYS: history, meta, and one of a dedupe key where there is one.
 * ARGV: channel, frame and key as entry.ts has them, `max bytes ttl server 0 ` with what is to be kept and with server left out where
 * the script is to ask, `epoch fence` for a new topic and a new server, and for how long the dedupe key counts.
 * Gives the position.
 *
 * An id is never given twice. Redis' clock may go back, and a replica that is promoted may not have the last entries, which nodes
 * have sent already. So an id follows the last one known, whatever the clock says, and where another server process orders a topic
 * than the one before, the numbers within a millisecond begin at a fence that is picked at random.
 *
 * Mostly nothing is due: then Redis itself picks the id, which follows that of the newest entry, and neither the clock nor the
 * length is asked for. That is half of what the rest costs. How the topic stands begins with when something is due, so
 * that the id is compared with all of it: what follows the 13 digits counts only where they are the same.
 *
 * @param publish the command that tells of it
 */
export const publishBy = (publish: 'PUBLISH' | 'SPUBLISH') => `
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then return known end
end
${DUE}
local frame, kept = ARGV[2], ARGV[3]
local head, id, position
local stand = redis.call('GET', KEYS[2])
if stand and string.find(stand, kept, ${AT.kept}, true) == ${AT.kept} then
  local left, room = string.sub(stand, ${AT.left}, ${AT.left + 1}), string.sub(stand, ${AT.room}, ${AT.kept - 2}) - #frame
  if left ~= '00' and room >= 0 then
    head = string.sub(stand, ${AT.kept} + #kept)
    id = redis.call('XADD', KEYS[1], 'NOMKSTREAM', '*', 'p', head, 'f', frame)
    if id then
      position = string.sub(head, 1, ${EPOCH_LENGTH + 1}) .. id
      local counts = string.format(' %02d %016d ', left - 1, room)
      if id < stand then
        redis.call('SET', KEYS[2], string.sub(stand, 1, ${AT.left - 2}) .. counts .. kept .. position, 'KEEPTTL')
      else
        local ttl = string.match(kept, '^%d+ %d+ (%d+)')
        redis.call('PEXPIRE', KEYS[1], ttl + putOff(ttl))
        redis.call('SET', KEYS[2], dueFrom(string.sub(id, 1, 13), ttl) .. counts .. kept .. position, 'PX', ${META_MS})
      end
    end
  end
end
if not id then
  ${STAND}
  ${TRIM}
  local other, random = string.match(ARGV[4], '^(%S+) (%d+)$')
  if not epoch then epoch, head, ms, bytes, server, fence = other, other .. '.' .. now .. '-0', now, 0, '-', '0' end
  local orders
  max, most, ttl, orders = string.match(kept, '^(%d+) (%d+) (%d+) (%S*) 0 $')
  if orders == '' then
    local info = redis.pcall('INFO', 'server') -- which a user may not be allowed
    orders = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'unknown'
  end
  if server ~= orders then
    if server ~= '-' then fence = random end
    server = orders
  end
  if now > ms then
    id = now .. '-' .. fence
  else
    id = string.format('%s-%d', ms, math.max((seq or 0) + 1, fence))
  end
  left = 0
  if max == '0' then
    redis.call('DEL', KEYS[1])
    bytes = 0
  else
    local added = redis.pcall('XADD', KEYS[1], id, 'p', head, 'f', frame)
    if type(added) == 'table' then
      if not string.find(added.err, 'XADD') then return added end
      redis.call('DEL', KEYS[1])
      epoch, head, id = other, other .. '.' .. now .. '-0', now .. '-1'
      redis.call('XADD', KEYS[1], id, 'p', head, 'f', frame)
    end
    local length = redis.call('XLEN', KEYS[1])
    bytes, left = trim(length, length == 1 and #frame or bytes + #frame, tonumber(max), tonumber(most), ttl)
    redis.call('PEXPIRE', KEYS[1], ttl + putOff(ttl))
  end
  position = epoch .. '.' .. id
  redis.call('SET', KEYS[2], standing(dueFrom(now, ttl), left, limit(most) - bytes, max, most, ttl, server, fence, position), 'PX', ${META_MS})
end
if KEYS[3] then redis.call('SET', KEYS[3], position, 'PX', ARGV[5]) end
redis.call('${publish}', ARGV[1], head .. ' ' .. id .. ' ' .. frame)
return position
`

/** Commands that are kept for a node that comes back, and for how long. */
export const KEPT_COMMANDS = { most: 1_000, ms: 600_000 }

/**
 * Tells all nodes something, and keeps it for those whose link is away.
 *
 * KEYS: commands. ARGV: channel, text. Where there is no room to keep it, whoever hears is told all the same.
 */
export const COMMAND = `
local id = redis.pcall('XADD', KEYS[1], 'MAXLEN', ${KEPT_COMMANDS.most}, '*', 'c', ARGV[2])
if type(id) == 'table' then id = '-' else redis.call('PEXPIRE', KEYS[1], ${KEPT_COMMANDS.ms}) end
redis.call('PUBLISH', ARGV[1], id .. ' ' .. ARGV[2])
`

/**
 * Reads a page of a topic.
 *
 * KEYS: history, meta.
 * ARGV: ms and seq of the position to read behind, epoch of a new topic, entries and bytes at most.
 * Gives the position of the head, and of each entry its id, the position before, and its frame and key.
 */
export const READ = `
local head
local stand = redis.call('GET', KEYS[2])
${STAND}
${TRIM}
if not epoch then
  head, ttl = ARGV[3] .. '.' .. now .. '-0', 0
  redis.call('SET', KEYS[2], standing('0000000000000', 0, 0, 0, 0, 0, '-', 0, head), 'PX', ${UNPUBLISHED_MS})
else
  if max ~= '0' and left ~= '${LOOK.entries}' then
    bytes, left = trim(redis.call('XLEN', KEYS[1]), bytes, tonumber(max), tonumber(most), ttl)
    redis.call('SET', KEYS[2], standing(due, left, limit(most) - bytes, max, most, ttl, server, fence, head), 'KEEPTTL')
  end
  redis.call('PEXPIRE', KEYS[2], server == '-' and ${UNPUBLISHED_MS} or ${META_MS})
end
local page = { head }
local entries, most, size, count = tonumber(ARGV[4]), tonumber(ARGV[5]), 0, 0
local from = '(' .. ARGV[1] .. '-' .. ARGV[2]
if now - ARGV[1] > tonumber(ttl) then from = string.format('%.0f-0', now - ttl) end
local stride = ${STRIDE.least}
while count < entries do
  local some = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', math.min(stride, entries - count))
  if size < most / 4 then stride = math.min(stride * 2, ${STRIDE.most}) end
  if #some == 0 then break end
  for _, entry in ipairs(some) do
    local fields = entry[2]
    size = size + #fields[4]
    if size > most and count > 0 then return page end
    count = count + 1
    local at = #page
    page[at + 1], page[at + 2], page[at + 3] = entry[1], fields[2], fields[4]
    from = '(' .. entry[1]
  end
end
return page
`

// What happens in Redis, each script whole or not at all. A topic has two keys. One is a stream of its entries. The other, a hash, says
// how it stands: `stand` is `name max bytes ttl server`, and the field of that name an offset, of all bytes that were ever published to the
// topic. Offsets order a topic: an entry bears the one it ends at, so each says where the one before it ends.
//
// A name is `epoch.fence`, and belongs to one life of the topic, one retention and one server. A publisher counts under the name that it knows,
// and where that is not the one that holds, there is no such field, and it begins at 0. So a single command asks whether
// anything has changed, gives an entry its place, and says which was before.
//
// Either key may be gone at any time, by expiry, eviction or FLUSHALL: what cannot be trusted any more begins anew, with another epoch, so
// that clients are told.

/** Characters of an epoch. Nobody can guess one that they have not been given, and no two are alike. */
export const EPOCH_LENGTH = 12

/** Digits of a fence. */
export const FENCE_LENGTH = 6

/** Characters of a server's replication id that are compared. */
export const SERVER_LENGTH = 16

/** Digits of a time, in ms since 1970: until the year 2286. */
export const MS_LENGTH = 13

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

/** Entries that are looked at together, where a page may end behind any of them: few at first, since they may be large. */
const STRIDE = { least: 4, most: 64 }

/**
 * An offset begins at the time, in ms since 1970, so that none is as small as one that has just begun at 0. It ends where Lua would write it
 * with an exponent: 88 TB later.
 */
const OFFSET = { least: 1e12, most: 9e13 }

/**
 * How the topic stands. What cannot be trusted begins anew; `seed` is a secret of the node, so that what is made of it and of the time is by chance.
 */
const STAND = `
local time = redis.call('TIME')
local now = time[1] .. string.sub('00000' .. time[2], -6, -4)
local chance = redis.sha1hex(table.concat({ seed, KEYS[1], time[1], time[2] }, ' '))
local function anotherFence () return string.format('%d', 100000 + tonumber(string.sub(chance, 13, 20), 16) % 900000) end
local stand = redis.call('HGET', KEYS[2], 'stand')
local name, epoch, fence, max, bytes, ttl, server
if stand then name, epoch, fence, max, bytes, ttl, server = string.match(stand, '^((%S+)%.(%d+)) (%d+) (%d+) (%d+) (%S+)$') end
local offset = name and tonumber(redis.call('HGET', KEYS[2], name) or '')
local function begin ()
  redis.call('DEL', KEYS[1], KEYS[2])
  epoch, fence, offset, name, server = string.sub(chance, 1, ${EPOCH_LENGTH}), anotherFence(), tonumber(now), nil, '-'
end
if not offset or offset >= ${OFFSET.most} then begin() end
local function write (max, bytes, ttl)
  local current = epoch .. '.' .. fence
  if name and name ~= current then redis.call('HDEL', KEYS[2], name) end
  name = current
  redis.call('HSET', KEYS[2], 'stand', table.concat({ name, max, bytes, ttl, server }, ' '), name, string.format('%.0f', offset))
end
`

/**
 * Removes what is too much or too old: all of it, since what is removed is not looked at. An id is `offset-fence·ms`. The newest
 * entry is never too large.
 */
const TRIM = `
local function offsetOf (entry) return tonumber(string.match(entry[1], '^%d+')) end
local function beginOf (entry) return offsetOf(entry) - #entry[2][#entry[2]] end
local function firstFrom (from) return redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1)[1] end
local function trim (max, bytes, ttl)
  local function isOld (entry) return string.sub(entry[1], -${MS_LENGTH}) < string.format('%.0f', now - ttl) end
  redis.call('XTRIM', KEYS[1], 'MAXLEN', max)
  local oldest = firstFrom('-')
  if not oldest then return end
  if offset - beginOf(oldest) > tonumber(bytes) then
    local from = offset - bytes
    local first = firstFrom(string.format('%.0f-0', math.min(from + 1, offset)))
    local least = offsetOf(first)
    if beginOf(first) < from and least < offset then least = least + 1 end
    redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', least))
    oldest = firstFrom('-')
  end
  if not isOld(oldest) then return end
  local low, high = offsetOf(oldest) + 1, offset + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local first = firstFrom(string.format('%.0f-0', middle))
    if first and isOld(first) then low = offsetOf(first) + 1 else high = middle end
  end
  redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', low))
end
`

/**
 * How long what is due may wait: a part of the time for which entries are kept, and no more than that. Until then entries may be
 * older than that; nobody is given them.
 */
export const PUT_OFF = { time: 1 / 4, ms: 60_000 }

/**
 * Appends an entry and tells of it.
 *
 * KEYS: history, meta, and one of a dedupe key where there is one.
 * ARGV: channel; the name that is thought to hold, or '' where it is to be looked up or something is due; how many entries are kept;
 * `bytes ttl server seed`, with the server left out where the script is to ask; of the name `-`, the fence, and the time; frame and key as
 * entry.ts has them; their bytes; and for how long the dedupe key counts.
 * Gives the offset where the name held. Otherwise the position and, where it was appended now, the name and the time.
 *
 * No id is given twice. A replica that is promoted may not have the last entries, which nodes have sent already, and would give their
 * offsets to others; so would a master that has come back with less. Each has a replication id that none has had before. Where that is
 * another than when the name was given, the entry has another fence, picked at random, and names the one before in full; so does
 * the first that is published to a topic that only was asked for. Where nobody may know the id, each entry does.
 *
 * Mostly three commands are all. That matters: to Lua a command costs as much as Redis itself takes for it, and so does each number that
 * is made of a text, or text of a number. Where history is full, XADD removes a block at a time: a hundred entries or 4 KiB.
 *
 * @param publish the command that tells of it
 */
export const publishBy = (publish: 'PUBLISH' | 'SPUBLISH') => `
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then return known end
end
local frame, thought = ARGV[6], ARGV[2]
if thought ~= '' then
  local offset = redis.call('HINCRBY', KEYS[2], thought, ARGV[7])
  if offset < ${OFFSET.least} then
    redis.call('HDEL', KEYS[2], thought)
  else
    local id = offset .. ARGV[5]
    if offset < ${OFFSET.most} and type(redis.pcall('XADD', KEYS[1], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[3], id, 'f', frame)) == 'string' then
      if KEYS[3] then redis.call('SET', KEYS[3], string.sub(thought, 1, ${EPOCH_LENGTH + 1}) .. string.sub(id, 1, -${MS_LENGTH + 1}), 'PX', ARGV[8]) end
      redis.call('${publish}', ARGV[1], id .. ' ' .. thought .. ' ' .. frame)
      return offset
    end
    redis.call('HINCRBY', KEYS[2], thought, '-' .. ARGV[7])
  end
end
local most = ARGV[3]
local size, age, orders, seed = string.match(ARGV[4], '^(%d+) (%d+) (%S*) (%S+)$')
${STAND}
${TRIM}
if orders == '' then
  local info = redis.pcall('INFO', 'replication') -- which a user may not be allowed
  orders = type(info) == 'string' and string.match(info, 'master_replid:(' .. string.rep('%w', ${SERVER_LENGTH}) .. ')') or 'unknown'
end
local before = ''
if name and (orders == 'unknown' or not (server == orders and max == most and bytes == size and ttl == age)) then
  before = string.format('%.0f-%s', offset, fence)
  fence = anotherFence()
end
server = orders
offset = offset + #frame
local function idOf () return string.format('%.0f-%s%s', offset, fence, now) end
if most == '0' then
  redis.call('DEL', KEYS[1])
else
  local function append ()
    if before == '' then return redis.pcall('XADD', KEYS[1], idOf(), 'f', frame) end
    return redis.pcall('XADD', KEYS[1], idOf(), 'p', before, 'f', frame)
  end
  local added = append()
  if type(added) == 'table' then
    if not string.find(added.err, 'XADD') then return added end
    begin()
    before, server, offset = '', orders, offset + #frame
    append()
  end
  trim(most, size, age)
  redis.call('PEXPIRE', KEYS[1], age + math.min(math.floor(age * ${PUT_OFF.time}), ${PUT_OFF.ms}))
end
write(most, size, age)
redis.call('PEXPIRE', KEYS[2], ${META_MS})
local position = string.format('%s.%.0f-%s', epoch, offset, fence)
if KEYS[3] then redis.call('SET', KEYS[3], position, 'PX', ARGV[8]) end
redis.call('${publish}', ARGV[1], idOf() .. ' ' .. name .. (before == '' and ' ' or '<' .. before .. ' ') .. frame)
return { position, name, now }
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
 * ARGV: offset to read behind, a seed, entries and bytes at most.
 * Gives the position of the head, and of each entry its id, the entry before where it names that in full, and its frame and key.
 */
export const READ = `
local seed, entries, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
${STAND}
${TRIM}
if not name then write(0, 0, 0) end
redis.call('PEXPIRE', KEYS[2], server == '-' and ${UNPUBLISHED_MS} or ${META_MS})
local page = { string.format('%s.%.0f-%s', epoch, offset, fence) }
if entries == 0 or server == '-' then return page end
trim(max, bytes, ttl)
local from, size, count, stride = '(' .. ARGV[1] .. '-18446744073709551615', 0, 0, ${STRIDE.least}
while count < entries do
  local some = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', math.min(stride, entries - count))
  if size < most / 4 then stride = math.min(stride * 2, ${STRIDE.most}) end
  if #some == 0 then break end
  for _, entry in ipairs(some) do
    local fields = entry[2]
    local frame = fields[#fields]
    size = size + #frame
    if size > most and count > 0 then return page end
    count = count + 1
    local at = #page
    page[at + 1], page[at + 2], page[at + 3] = entry[1], #fields == 4 and fields[2] or '', frame
    from = '(' .. entry[1]
  end
end
return page
`

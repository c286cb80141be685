export { redisBroker } from './redis-broker.js'
export type { RedisBrokerOptions } from './options.js'
export type { RedisClient } from './connection.js'

export { redisBroker, type RedisBrokerOptions } from './redis-broker.js'
export type { RedisClient } from './connection.js'

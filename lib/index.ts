export { default } from './plugin/plugin.js'
export { memoryBroker, type MemoryBrokerOptions } from './channel/memory-broker.js'
export * from './errors.js'
export type * from '../types/index.js'

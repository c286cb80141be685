export { brokerContract, type BrokerContract } from './broker-contract.js'
export { collect } from './collect.js'
export { readEvents } from './read-events.js'
export type * from '../../types/testing.js'

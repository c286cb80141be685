export { brokerContract, type BrokerContract } from './broker-contract.js'

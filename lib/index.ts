export { default } from './plugin/plugin.js'
export * from './errors.js'
export type * from '../types/index.js'

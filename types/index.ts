// A plain import, so that the augmentation travels into the emitted declarations: `import type {}` is dropped.
import './fastify.js'

export type * from './broker.js'
export type * from './channel.js'
export type * from './event.js'
export type * from './metrics.js'
export type * from './options.js'
export type * from './reserved.js'
export type * from './sse.js'
export type * from './standard-schema.js'
export type * from './stream.js'

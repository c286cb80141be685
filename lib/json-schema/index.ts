export { jsonSchema } from './json-schema.js'
export type { JsonSchemaOptions } from './json-schema.js'

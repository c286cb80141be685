// TypeBox knows its schemas by a symbol. Fastify's addSchema() keeps a copy without symbols, and schemas written
// by hand never had any: what they are can be told from their keywords.
import { Kind, Type, type TSchema } from '@sinclair/typebox'
import { SSE_ERR_INVALID_SCHEMA } from '../errors.js'

/** Keywords that say nothing of what is valid. */
const ANNOTATIONS = ['$comment', '$id', '$schema', 'contentEncoding', 'contentMediaType', 'default', 'deprecated', 'description', 'discriminator', 'examples', 'nullable', 'readOnly', 'title', 'type', 'writeOnly']

/** By kind, the keywords that TypeBox checks. Any other would go unchecked, so it is refused. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  Any: [],
  Array: ['contains', 'items', 'maxContains', 'maxItems', 'minContains', 'minItems', 'uniqueItems'],
  Boolean: [],
  Date: ['exclusiveMaximumTimestamp', 'exclusiveMinimumTimestamp', 'maximumTimestamp', 'minimumTimestamp', 'multipleOfTimestamp'],
  Integer: ['exclusiveMaximum', 'exclusiveMinimum', 'maximum', 'minimum', 'multipleOf'],
  Intersect: ['allOf', 'unevaluatedProperties'],
  Literal: ['const'],
  Not: ['not'],
  Null: [],
  Number: ['exclusiveMaximum', 'exclusiveMinimum', 'maximum', 'minimum', 'multipleOf'],
  Object: ['additionalProperties', 'maxProperties', 'minProperties', 'properties', 'required'],
  Record: ['additionalProperties', 'maxProperties', 'minProperties', 'patternProperties'],
  String: ['format', 'maxLength', 'minLength', 'pattern'],
  Tuple: ['additionalItems', 'items', 'maxItems', 'minItems'],
  Union: ['anyOf']
}

const BY_TYPE: Readonly<Record<string, string>> = { Date: 'Date', boolean: 'Boolean', integer: 'Integer', null: 'Null', number: 'Number', string: 'String' }

/** What TypeBox needs beside the kind where JSON Schema has a default. */
const IMPLIED: Readonly<Record<string, object>> = {
  Array: { type: 'array', items: Type.Any() },
  Object: { type: 'object', properties: {} }
}

/**
 * The schema with its kind. Not its children.
 *
 * @param path for messages
 * @throws SSE_ERR_INVALID_SCHEMA for a keyword that TypeBox does not check
 */
export function withKind (schema: Readonly<Record<string, unknown>>, path: string): TSchema {
  const { type, enum: values, ...rest } = schema
  if (Array.isArray(values)) return Type.Union(values.map((value: string | number | boolean | null) => value === null ? Type.Null() : Type.Literal(value)))
  if (Array.isArray(type)) return { [Kind]: 'Union', anyOf: type.map((one: unknown) => ({ ...rest, type: one })) } as unknown as TSchema // anyOf is visited next
  const kind = kindOf(schema)
  if (kind === undefined) throw new SSE_ERR_INVALID_SCHEMA(`Expected the schema of ${path} to be a TypeBox schema or a JSON Schema of a known type`)
  const unknown = Object.keys(schema).find((keyword) => !KEYWORDS[kind]?.includes(keyword) && !ANNOTATIONS.includes(keyword) && !keyword.startsWith('x-'))
  if (unknown !== undefined) throw new SSE_ERR_INVALID_SCHEMA(`Keyword \`${unknown}\` in the schema of ${path} is not supported in a schema that is not made by TypeBox: it would go unchecked`)
  return { ...IMPLIED[kind], ...schema, [Kind]: kind } as unknown as TSchema // its keywords are those of the kind
}

function kindOf (schema: Readonly<Record<string, unknown>>): string | undefined {
  if ('const' in schema) return 'Literal'
  if ('anyOf' in schema) return 'Union'
  if ('allOf' in schema) return 'Intersect'
  if ('not' in schema) return 'Not'
  if (schema.type === 'object' || 'properties' in schema) return 'patternProperties' in schema ? 'Record' : 'Object'
  if (schema.type === 'array') return Array.isArray(schema.items) || schema.maxItems === 0 ? 'Tuple' : 'Array'
  if (typeof schema.type === 'string') return BY_TYPE[schema.type]
  return schema.type === undefined ? 'Any' : undefined
}

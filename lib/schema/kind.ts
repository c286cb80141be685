// TypeBox knows its schemas by a symbol. Fastify's addSchema() keeps a copy without symbols, and schemas written
// by hand never had any: what they are can be told from their keywords. A keyword that TypeBox would not check is
// refused, since it would go unchecked in silence.
import { Kind, Type, type TSchema } from '@sinclair/typebox'
import { kindOf } from '../describe.js'
import { SSE_ERR_INVALID_SCHEMA } from '../errors.js'

type Node = Readonly<Record<string, unknown>>

/** Keywords that say nothing of what is valid, or hold schemas for others to refer to. */
const ANNOTATIONS = ['$anchor', '$comment', '$defs', '$id', '$schema', 'contentEncoding', 'contentMediaType', 'default', 'definitions', 'deprecated', 'description', 'discriminator', 'examples', 'readOnly', 'title', 'writeOnly']

/** Each is a condition of its own. */
const CONDITIONS = ['$ref', 'allOf', 'anyOf', 'const', 'enum', 'not'] as const

const OF_NUMBERS = ['exclusiveMaximum', 'exclusiveMinimum', 'maximum', 'minimum', 'multipleOf']

/** By type, the keywords that TypeBox checks. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  Date: ['exclusiveMaximumTimestamp', 'exclusiveMinimumTimestamp', 'maximumTimestamp', 'minimumTimestamp', 'multipleOfTimestamp'],
  array: ['additionalItems', 'contains', 'items', 'maxContains', 'maxItems', 'minContains', 'minItems', 'uniqueItems'],
  boolean: [],
  integer: OF_NUMBERS,
  null: [],
  number: OF_NUMBERS,
  object: ['additionalProperties', 'maxProperties', 'minProperties', 'patternProperties', 'properties', 'required'],
  string: ['format', 'maxLength', 'minLength', 'pattern']
}

/** Of the keywords of arrays, those that TypeBox does not look at in a tuple. */
const UNCHECKED_IN_LISTS = ['contains', 'maxContains', 'minContains', 'uniqueItems']

const KINDS: Readonly<Record<string, string>> = { Date: 'Date', boolean: 'Boolean', integer: 'Integer', null: 'Null', number: 'Number', string: 'String' }

/**
 * The schema with its kind. Its children are left as they are.
 *
 * @param path for messages
 * @throws SSE_ERR_INVALID_SCHEMA
 */
export function withKind (schema: Readonly<Record<PropertyKey, unknown>>, path: string): TSchema {
  const { [Kind]: _, ...node } = schema as Node & { [Kind]?: unknown }
  const types = typesOf(node, path)
  const known = [...ANNOTATIONS, ...CONDITIONS, 'type', ...types.flatMap((type) => KEYWORDS[type] as readonly string[])] // typesOf knows them
  const unknown = Object.keys(node).find((keyword) => !known.includes(keyword) && !keyword.startsWith('x-'))
  if (unknown !== undefined) throw new SSE_ERR_INVALID_SCHEMA(`Keyword \`${unknown}\` in the schema of ${path} is not supported ${types.length === 0 ? 'without a `type`' : 'there'}: it would go unchecked. With jsonSchema() of fastify-typed-sse/json-schema, Ajv checks it`)

  const parts = CONDITIONS.filter((condition) => condition in node).map((condition) => conditionOf(condition, node[condition], path))
  const annotations = pick(node, ANNOTATIONS)
  if (types.length === 1) parts.unshift(ofType(types[0] as string, node, annotations, path))
  if (types.length > 1) parts.unshift(kinded('Union', { anyOf: types.map((type) => ofType(type, node, {}, path)) }))
  if (parts.length === 0) return Type.Any(annotations)
  return parts.length === 1 ? { ...annotations, ...parts[0] as TSchema } : kinded('Intersect', { ...annotations, allOf: parts })
}

function typesOf (node: Node, path: string): string[] {
  const types: unknown[] = node.type === undefined ? 'properties' in node ? ['object'] : [] : [node.type].flat()
  for (const type of types) {
    if (typeof type !== 'string' || !Object.hasOwn(KEYWORDS, type)) throw new SSE_ERR_INVALID_SCHEMA(`Expected the schema of ${path} to be a TypeBox schema or a JSON Schema of a known type, got ${typeof type === 'string' ? `\`${type}\`` : kindOf(type)}`)
  }
  return types as string[] // looked at above
}

function ofType (type: string, node: Node, annotations: Node, path: string): TSchema {
  const own = { ...annotations, ...pick(node, KEYWORDS[type] as readonly string[]), type } // typesOf knows the type
  if (type === 'object' && 'patternProperties' in own) {
    const patterns = Object.keys(own.patternProperties as object) // as the keyword has it
    if (patterns.length !== 1) throw new SSE_ERR_INVALID_SCHEMA(`Expected one pattern in the \`patternProperties\` of ${path}, got ${patterns.length}: others would go unchecked`)
    if ('properties' in own || 'required' in own) throw new SSE_ERR_INVALID_SCHEMA(`\`patternProperties\` beside other properties in the schema of ${path} is not supported: they would go unchecked`)
    return kinded('Record', own)
  }
  if (type === 'object') {
    // TypeBox looks for the required ones among those that have a schema.
    const { required = [], properties = {} } = own as { required?: string[], properties?: object }
    return kinded('Object', { ...own, properties: { ...Object.fromEntries(required.map((name) => [name, {}])), ...properties } })
  }
  if (type !== 'array') return kinded(KINDS[type] as string, own)
  const { items, minItems, maxItems, additionalItems } = node
  const unchecked = maxItems === 0 || Array.isArray(items) ? UNCHECKED_IN_LISTS.find((keyword) => keyword in node) : undefined
  if (unchecked !== undefined) throw new SSE_ERR_INVALID_SCHEMA(`Keyword \`${unchecked}\` in the schema of ${path} is not supported where each item has a schema of its own: it would go unchecked`)
  if (maxItems === 0) return kinded('Tuple', { ...own, items: [], minItems: 0 })
  if (!Array.isArray(items)) return kinded('Array', { items: {}, ...own })
  if (minItems !== items.length || (maxItems !== items.length && additionalItems !== false)) throw new SSE_ERR_INVALID_SCHEMA(`Expected \`minItems\` and \`maxItems\` in the schema of ${path} to be ${items.length}, as \`items\` is a list of so many`)
  return kinded('Tuple', { ...own, maxItems: items.length, additionalItems: false })
}

function conditionOf (condition: typeof CONDITIONS[number], value: unknown, path: string): TSchema {
  switch (condition) {
    case '$ref': return { $ref: value } as unknown as TSchema // visited next
    case 'anyOf': return kinded('Union', { anyOf: value })
    case 'allOf': return kinded('Intersect', { allOf: value })
    case 'not': return kinded('Not', { not: value })
    case 'const': return literal(value, path)
    case 'enum': return Type.Union((value as unknown[]).map((one) => literal(one, path))) // an enum is a list
  }
}

function literal (value: unknown, path: string): TSchema {
  if (value === null) return Type.Null()
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return Type.Literal(value)
  throw new SSE_ERR_INVALID_SCHEMA(`Expected a constant in the schema of ${path} to be a string, a number, a boolean or null, got ${kindOf(value)}`)
}

/** Of children that have not been visited yet. */
function kinded (kind: string, node: object): TSchema {
  return { ...node, [Kind]: kind } as unknown as TSchema // visited next
}

function pick (node: Node, keywords: readonly string[]): Node {
  return Object.fromEntries(Object.entries(node).filter(([keyword]) => keywords.includes(keyword)))
}

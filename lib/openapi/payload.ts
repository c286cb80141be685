// A payload's schema as it stands in a document: of what is on the wire, which is JSON, and with references that lead
// somewhere from there.
import { mapChildren } from '../schema/children.js'
import { follow } from '../schema/pointer.js'
import { isStandard, jsonSchemaOf } from '../schema/standard.js'
import type { StreamFacts } from './facts.js'
import type { Version } from './version.js'

type Node = Readonly<Record<string, unknown>>

/** Schemas that others refer to, by their `$id`. */
export type Definitions = Map<string, Node>

/** What `#` and the names of a TypeBox module mean within a schema. */
interface Scope {
  /** Unlike any other in the document. */
  readonly id: string
  /** Of `#`. */
  readonly title: string
  readonly root: unknown
  readonly defs?: Node
}

/** A date is a number of milliseconds to these, of which the wire knows nothing. */
const OF_TIMESTAMPS = ['exclusiveMaximumTimestamp', 'exclusiveMinimumTimestamp', 'maximumTimestamp', 'minimumTimestamp', 'multipleOfTimestamp']

/** arktype has no words for 3.0. Those of draft-07 are what TypeBox's schemas have there, too. */
const TARGETS_OF_3_0 = ['openapi-3.0', 'draft-07'] as const

/**
 * @param facts where it stands, which together with the event's name tells the schema from all others in the document, and what others are there
 * @param definitions gets what the schema refers to within itself
 */
export function payloadSchema (schema: unknown, { where, shared, ids }: StreamFacts, name: string, version: Version, definitions: Definitions): unknown {
  const root = isStandard(schema) ? jsonSchemaOf(schema, version === '3.0' ? TARGETS_OF_3_0 : ['draft-2020-12']) : schema
  const own: Scope = { id: encodeURIComponent(`${where} ${name}`), title: name, root }
  const { $defs: ownDefs = {} } = root as Node // which may be `true`
  const bundled = Object.values(ownDefs as Node).filter((schema): schema is Node => typeof (schema as Node).$id === 'string')
  /** Of schemas that stand in this one, by the `$id` that they have there. */
  const inner = new Map<string, string>()
  name$ids(root)
  return visit(root, own)

  // Before anything else: what refers to one may stand before it, or within.
  function name$ids (given: unknown): unknown {
    if (typeof given !== 'object' || given === null) return given
    const { $id } = given as Node
    if (isName($id) && !bundled.includes(given as Node)) inner.set($id, ids.idOf($id, given, shared))
    return mapChildren(given, name$ids)
  }

  function visit (given: unknown, scope: Scope): unknown {
    if (typeof given !== 'object' || given === null) return given
    const node = given as Node
    if (bundled.includes(node)) return node // defined where something refers to it
    if (typeof node.$ref === 'string') return visitRef(node, node.$ref, scope)
    const { $defs, $schema, definitions: _, ...copy } = onTheWire(mapChildren(node, (child) => visit(child, scope)), version) // what is referred to there has been defined
    return isName(copy.$id) ? define(inner.get(copy.$id) as string, () => copy) : copy
  }

  function visitRef (node: Node, ref: string, scope: Scope): unknown {
    const defs = (node.$defs ?? scope.defs) as Node | undefined // a schema's `$defs` are an object
    if (defs !== undefined && Object.hasOwn(defs, ref)) return define(`${scope.id}.${ref}`, () => nameless(visit(nameless(defs[ref]), { ...scope, defs })), ref)
    const [uri = '', pointer = ''] = ref.split('#')
    const target = uri === '' ? scope : scopeOf(absolute(uri, (scope.root as Node).$id))
    if (target === undefined) return { $ref: inner.get(uri) ?? ref }
    const found = follow(target.root, pointer, target.id)
    return define(`${target.id}.${pointer}`, () => visit(nameless(found), target), pointer.split('/').at(-1) || target.title)
  }

  function scopeOf (uri: string): Scope | undefined {
    const schema = bundled.find(({ $id }) => absolute(String($id).replace(/#$/, ''), (root as Node).$id) === uri)
    return schema && { id: `${own.id}.${encodeURIComponent(uri)}`, title: uri.split(/[/:]/).at(-1) || name, root: schema }
  }

  function define (id: string, make: () => unknown, title?: string): unknown {
    if (!definitions.has(id)) {
      definitions.set(id, {}) // stands in while the schema, which may refer to itself, is looked through
      definitions.set(id, { ...(title === undefined ? {} : { title }), ...make() as Node, $id: id })
    }
    return { $ref: id }
  }
}

/** An `$id` that is not an anchor within its schema. */
function isName ($id: unknown): $id is string {
  return typeof $id === 'string' && !$id.startsWith('#')
}

/** As Ajv resolves it. What has no URI to start from stands as it is. */
function absolute (uri: string, base: unknown): string {
  const from = typeof base === 'string' ? base : undefined
  return URL.canParse(uri, from) ? new URL(uri, from).href : uri
}

function nameless (schema: unknown): unknown {
  const { $id, ...rest } = schema as Node
  return rest
}

/** Dates and expressions are strings there. 3.0 has no `contentMediaType`; after it a tuple's `items` are called `prefixItems`. */
function onTheWire (node: Node, version: Version): Node {
  if (node.type === 'Date') return { ...omit(node, OF_TIMESTAMPS), type: 'string', format: 'date-time' }
  if (node.type === 'RegExp') return { ...omit(node, ['source', 'flags']), type: 'string', pattern: node.source }
  if (version === '3.0') return omit(node, ['contentMediaType'])
  if (!Array.isArray(node.items)) return node
  const { items, additionalItems, ...rest } = node
  return { ...rest, prefixItems: items, ...(additionalItems === undefined ? {} : { items: additionalItems }) }
}

function omit (node: Node, keywords: readonly string[]): Node {
  return Object.fromEntries(Object.entries(node).filter(([keyword]) => !keywords.includes(keyword)))
}

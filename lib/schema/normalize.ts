// A route's TypeBox schema as the compilers need it: looked through once for what could never be sent, so that
// it fails at registration and not at the first event.
import { FormatRegistry, Kind, Type, type TSchema } from '@sinclair/typebox'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import { describe } from '../describe.js'
import { SSE_ERR_INVALID_SCHEMA } from '../errors.js'
import { mapChildren } from './children.js'
import { withKind } from './kind.js'
import { follow } from './pointer.js'
import { withRefinements } from './refinement.js'

/** Values of these kinds have no JSON form. */
const UNSENDABLE = new Set(['AsyncIterator', 'BigInt', 'Constructor', 'Function', 'Iterator', 'Promise', 'Symbol', 'Uint8Array'])

/** Keywords whose schema is for properties that are declared nowhere else. */
const OF_OTHER_PROPERTIES = new Set(['additionalProperties', 'unevaluatedProperties'])

export interface Normalized {
  schema: TSchema
  /** Shared schemas that it refers to, directly or not. */
  references: TSchema[]
}

/**
 * @param shared Fastify's shared schemas, by `$id`
 * @throws SSE_ERR_INVALID_SCHEMA
 */
export function normalize (schema: unknown, shared: Readonly<Record<string, unknown>>, where: string): Normalized {
  const references = new Map<string, TSchema>()
  let modules = 0
  let parts = 0
  const normalized = visit(schema, where, { id: '', schema })
  if (normalized[Kind] === 'Undefined' || normalized[Kind] === 'Void') {
    throw new SSE_ERR_INVALID_SCHEMA(`Expected the schema of ${where} to have a JSON form. For an event without a payload use Type.Null()`)
  }
  return { schema: normalized, references: [...references.values()] }

  function visit (given: unknown, path: string, root: Root): TSchema {
    if (typeof given === 'boolean') return given ? Type.Any() : Type.Never()
    if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new SSE_ERR_INVALID_SCHEMA(`Expected the schema of ${path} to be a TypeBox schema, got ${describe(given)}`)
    const node = given as Record<PropertyKey, unknown>
    if (node.nullable === true) {
      // OpenAPI's and Ajv's word for a union with null, which TypeBox itself ignores.
      const { nullable, ...rest } = node
      return Type.Union([visit(rest, path, root), Type.Null()])
    }
    const kind = node[Kind]
    if (typeof kind === 'string' && UNSENDABLE.has(kind)) throw new SSE_ERR_INVALID_SCHEMA(`Expected the schema of ${path} to have a JSON form, got Type.${kind}()`)
    if (kind === 'Import' || (kind === undefined && refersToOwn(node))) return visitRef(String(node.$ref), path, { id: `module ${++modules}`, schema: node, defs: node.$defs as Root['defs'] }) // as Type.Module makes it
    if (kind === 'Ref' || isBareRef(node)) return visitRef(String(node.$ref), path, root)

    const known = typeof kind === 'string' && kind !== 'Unsafe' ? node as unknown as TSchema : withKind(node, path) // it has a kind
    const copy = mapChildren(known, (child, key) => {
      const make = () => visit(child, `${path}/${key}`, root)
      return OF_OTHER_PROPERTIES.has(key) ? apart(make) : make()
    })
    if (typeof copy.$id === 'string' && copy.$id.startsWith('#')) delete copy.$id // a name within its root, which another root may give too
    if (copy[Kind] === 'String' && typeof copy.format === 'string') copy.format = formatOf(copy.format, path)
    const whole = withRefinements(copy, node as Record<string, unknown>)
    return copy[Kind] === 'Record' && typeof copy.additionalProperties === 'object' ? apart(() => whole) : whole
  }

  /**
   * In a function of its own. What TypeBox compiles for a property that is not declared calls it `key`, and `value` within a record, also
   * where a schema further in does so.
   */
  function apart (make: () => TSchema): TSchema {
    return reference(`part ${++parts}`, make)
  }

  function visitRef (ref: string, path: string, root: Root): TSchema {
    const [id = '', pointer = ''] = ref.split('#') // `User#` is how Fastify writes it
    const isOfModule = root.defs !== undefined && Object.hasOwn(root.defs, ref)
    if (isOfModule) return reference(`${root.id} ${ref}`, () => visit(root.defs?.[ref], `${path}/${ref}`, root))
    const target: Root | undefined = id === '' ? root : Object.hasOwn(shared, id) ? { id, schema: shared[id] } : undefined
    if (target === undefined) return Type.Ref(ref) // it may name a schema around it; the compiler knows
    const name = pointer === '' && target.id !== '' ? target.id : `${target.id}#${pointer}`
    return reference(name, () => visit(follow(target.schema, pointer, path), `${path} ($ref ${ref})`, target))
  }

  function reference (name: string, make: () => TSchema): TSchema {
    if (!references.has(name)) {
      references.set(name, Type.Any({ $id: name })) // stands in while the target, which may refer to itself, is looked through
      references.set(name, { ...make(), $id: name })
    }
    return Type.Ref(name)
  }
}

/**
 * What `#` means: the event's own schema, whose id is empty, or a shared one. Within a module also what its names mean:
 * TypeBox takes two modules' things of one name for one, so they are given names of their own.
 */
interface Root {
  id: string
  schema: unknown
  defs?: Readonly<Record<string, unknown>> | undefined
}

/** As Type.Cyclic() of TypeBox 1 makes it, whose names stand in its own `$defs`. */
function refersToOwn ({ $ref, $defs }: Readonly<Record<PropertyKey, unknown>>): boolean {
  return typeof $ref === 'string' && typeof $defs === 'object' && $defs !== null && Object.hasOwn($defs, $ref)
}

/** With other keywords beside it a $ref is one condition of several, which `withKind` puts together. */
function isBareRef (node: Readonly<Record<PropertyKey, unknown>>): boolean {
  return typeof node.$ref === 'string' && (node[Kind] === undefined || node[Kind] === 'Unsafe') && Object.keys(node).length === 1
}

/** Of the names under which formats are registered for us alone. */
export const FORMAT_PREFIX = 'fastify-typed-sse:'

/**
 * TypeBox refuses every string whose format nobody registered. What is registered counts; otherwise the formats
 * that Fastify checks requests by count here too, under a name of our own that changes nothing for other users
 * of the process-wide registry.
 */
function formatOf (format: string, path: string): string {
  if (FormatRegistry.Has(format)) return format
  const check = Object.hasOwn(fullFormats, format) ? toCheck(fullFormats[format as keyof typeof fullFormats]) : undefined
  if (check === undefined) {
    throw new SSE_ERR_INVALID_SCHEMA(`Unknown format \`${format}\` in the schema of ${path}. Register it with TypeBox: FormatRegistry.Set('${format}', (value) => …)`)
  }
  FormatRegistry.Set(FORMAT_PREFIX + format, check)
  return FORMAT_PREFIX + format
}

function toCheck (format: unknown): (value: string) => boolean {
  if (format instanceof RegExp) return (value) => format.test(value)
  if (typeof format === 'function') return format as (value: string) => boolean // ajv-formats: a RegExp, a function, or an object with one
  if (typeof format === 'object' && format !== null && 'validate' in format && !('type' in format)) return toCheck(format.validate)
  return () => true // `password`, and formats of numbers: for strings they are notes to the reader
}

// Schemas that check by themselves: whatever implements Standard Schema. https://standardschema.dev
import type { StandardIssue, StandardResult, StandardSchema } from '../../types/standard-schema.js'
import { kindOf } from '../describe.js'
import { SSE_ERR_INVALID_SCHEMA } from '../errors.js'

/** Those of arktype are functions. */
export function isStandard (schema: unknown): schema is StandardSchema {
  return (typeof schema === 'object' || typeof schema === 'function') && schema !== null && '~standard' in schema
}

/** What was found, with the place of the first. */
export interface Refusal {
  /** JSON Pointer. */
  readonly path: string
  readonly vendor: string
  readonly issues: readonly StandardIssue[]
}

/**
 * Only checks: a schema's defaults and transforms are not for what is sent, which is what was given.
 *
 * @param where for messages
 * @throws SSE_ERR_INVALID_SCHEMA where the schema takes its time: events keep their order by being checked at once
 */
export function refusalOf (schema: StandardSchema, data: unknown, where: string): Refusal | undefined {
  const { vendor, validate } = schema['~standard']
  const result: Partial<StandardResult<unknown> & Promise<unknown>> = validate(data)
  if (typeof result.then === 'function') {
    result.then(undefined, () => {}) // nobody waits for it
    throw new SSE_ERR_INVALID_SCHEMA(`Expected the schema of ${where} to check at once, got ${kindOf(result)}. Leave what is asynchronous to the source`)
  }
  const { issues } = result
  return issues === undefined ? undefined : { path: pointerTo(issues[0]), vendor, issues }
}

/** RFC 6901. */
function pointerTo ({ path = [] }: Partial<StandardIssue> = {}): string {
  const keys = Array.from(path, (segment) => String(typeof segment === 'object' ? segment.key : segment)) // arktype's are arrays whose map() is not an array's
  return '/' + keys.map((key) => key.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')
}

/** For zod, which refuses an object for one property without a form there, as a date. Other libraries do not know the option. */
const LIBRARY_OPTIONS = { unrepresentable: 'any' }

/**
 * What it says of itself as JSON Schema, or nothing where it cannot.
 *
 * @param targets the best first: not every library knows each
 */
export function jsonSchemaOf (schema: StandardSchema, targets: ReadonlyArray<'draft-07' | 'draft-2020-12' | 'openapi-3.0'>): Readonly<Record<string, unknown>> {
  for (const target of targets) {
    try {
      const { $schema, ...rest } = schema['~standard'].jsonSchema?.input({ target, libraryOptions: LIBRARY_OPTIONS }) ?? {}
      return rest
    } catch {} // it does not know the target, or has no words for itself
  }
  return {}
}

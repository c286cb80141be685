// JSON Schemas beyond what TypeBox checks, by Ajv at its strictest. An entry of its own: Ajv takes its time to load.
import { Ajv, type AnySchema, type ErrorObject, type Options } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import type { StandardIssue, StandardSchema } from '../../types/standard-schema.js'
import { SSE_ERR_INVALID_SCHEMA } from '../errors.js'

export interface JsonSchemaOptions {
  /** Schemas with an `$id`, which the schema refers to. */
  references?: readonly object[] | undefined
}

/** Nothing is changed, and no keyword or format is ignored. What else Ajv is strict about is a matter of taste. The rest are its defaults. */
const STRICT: Options = { strict: true, strictTypes: false, strictTuples: false, strictRequired: false, validateFormats: true, formats: fullFormats as Options['formats'] & object, logger: false } // the types of ajv-formats know the package's own copy of Ajv

/** Which draft a schema is of; draft-07 where it does not say, as Fastify has it. */
const DRAFTS: ReadonlyArray<[pattern: RegExp, Draft: typeof Ajv | typeof Ajv2019 | typeof Ajv2020]> = [
  [/2020-12/, Ajv2020],
  [/2019-09/, Ajv2019]
]

/**
 * A plain JSON Schema as a Standard Schema, for `schema.sse`, for the events of a channel, and for clients: of draft-07, or what its
 * `$schema` says, 2019-09 and 2020-12. Ajv checks by it in strict mode, and neither coerces, nor fills in defaults, nor removes.
 *
 * Schemas that have keywords of TypeBox alone need no such thing, and are checked and written faster without it.
 *
 * @example
 * ```ts
 * const tick = jsonSchema<{ n: number }>({ type: 'object', if: { required: ['m'] }, then: { required: ['n'] } })
 * ```
 *
 * @typeParam Data what it describes, which nobody checks; `json-schema-to-ts` can tell
 * @throws SSE_ERR_INVALID_SCHEMA for an unknown keyword or format, a reference that leads nowhere, and a schema that checks
 *   asynchronously
 */
export function jsonSchema<Data = any> (schema: object, { references = [] }: JsonSchemaOptions = {}): StandardSchema<Data> {
  const validate = compile(schema, references)
  return {
    '~standard': {
      vendor: 'ajv',
      validate: (data) => validate(data) ? { value: data as Data } : { issues: (validate.errors as ErrorObject[]).map(issueOf) }, // a check that has failed has them
      jsonSchema: { input: () => bundle(schema, references) }
    }
  }
}

/** With what it refers to, as JSON Schema has it: in `$defs`, each with its `$id`. No reference leads to these keys. */
function bundle (schema: object & { $defs?: object }, references: readonly object[]): Record<string, unknown> {
  if (references.length === 0) return { ...schema }
  return { ...schema, $defs: { ...schema.$defs, ...Object.fromEntries(references.map((reference, index) => [`reference ${index}`, reference])) } }
}

function compile (schema: object, references: readonly object[]) {
  const { $schema, $async } = schema as { $schema?: unknown, $async?: unknown }
  try {
    if ($async === true) throw new TypeError('`$async` takes its time, and events are checked at once')
    const Draft = DRAFTS.find(([pattern]) => pattern.test(String($schema)))?.[1] ?? Ajv
    return new Draft({ ...STRICT, schemas: [...references] as AnySchema[] }).compile(schema) // which says what is none
  } catch (cause) {
    throw new SSE_ERR_INVALID_SCHEMA(`Expected a JSON Schema that Ajv compiles: ${(cause as Error).message}`, { cause }) // Ajv throws errors
  }
}

function issueOf ({ instancePath, message }: ErrorObject): StandardIssue {
  return { message: message as string, path: instancePath.split('/').slice(1).map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~')) } // there is one unless the option `messages` says no
}

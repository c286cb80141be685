// What TypeBox 1 adds to a schema beside its keywords: functions that look at the value, by Type.Refine().
import { Kind, TypeRegistry, type TSchema } from '@sinclair/typebox'

/** A kind of our own in TypeBox's registry, which is one for the process: so its name is long. */
export const REFINEMENT = 'fastify-typed-sse:Refinement'

interface Refinement { check (value: unknown): boolean, error (value: unknown): unknown }

/** TypeBox 1 hides it from those who enumerate. */
export const REFINEMENTS = '~refine'

/** What is the conditions of `given`, as a schema to be met beside `schema`. */
export function withRefinements (schema: TSchema, given: Readonly<Record<string, unknown>>): TSchema {
  const refinements = given[REFINEMENTS] as readonly Refinement[] | undefined // as TypeBox makes it
  if (refinements === undefined) return schema
  if (!TypeRegistry.Has(REFINEMENT)) TypeRegistry.Set(REFINEMENT, (schema, value) => failing(schema as TSchema, value) === undefined)
  return { [Kind]: 'Intersect', allOf: [schema, { [Kind]: REFINEMENT, refinements }] } as unknown as TSchema // as Type.Intersect() makes it, without its look at the parts
}

/** What the refinement says that a value does not meet. */
export function messageOf (schema: TSchema, value: unknown): string {
  return String(failing(schema, value)?.error(value))
}

function failing ({ refinements }: TSchema, value: unknown): Refinement | undefined {
  return (refinements as readonly Refinement[]).find(({ check }) => !check(value)) // as made above
}

// Where a schema holds further schemas, of all that TypeBox makes and `withKind` lets through, and of what JSON Schema has beyond
// that, for documents.

/** Keywords under which there is one, a list, or a map of them. */
const ONE = ['additionalProperties', 'contains', 'else', 'if', 'items', 'not', 'propertyNames', 'then', 'unevaluatedItems', 'unevaluatedProperties'] as const
const LIST = ['allOf', 'anyOf', 'items', 'oneOf', 'prefixItems'] as const
const MAP = ['$defs', 'dependentSchemas', 'patternProperties', 'properties'] as const

/** A copy, its kind included, with the schemas that stand directly in it as `map` gives them. */
export function mapChildren<Schema extends object> (node: Schema, map: (child: unknown, key: string) => unknown): Schema {
  const copy = { ...node } as Record<PropertyKey, unknown> // the kind stands under a symbol
  for (const key of ONE) {
    if (typeof copy[key] === 'object' && copy[key] !== null && !Array.isArray(copy[key])) copy[key] = map(copy[key], key)
  }
  for (const key of LIST) {
    const list = copy[key]
    if (Array.isArray(list)) copy[key] = list.map((child, index) => map(child, `${key}/${index}`))
  }
  for (const key of MAP) {
    const children = copy[key]
    if (typeof children === 'object' && children !== null) {
      copy[key] = Object.fromEntries(Object.entries(children).map(([name, child]) => [name, map(child, name)]))
    }
  }
  return copy as Schema // nothing but its children has changed
}

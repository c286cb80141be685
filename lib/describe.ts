// How a value that was found is named in an error's message.

/** Of an object that may have only certain names: what to say of the first that it should not have. */
export function unknownName (given: object, known: readonly string[], where: string, prefix = ''): string | undefined {
  const name = Object.keys(given).find((name) => !known.includes(name))
  if (name === undefined) return undefined
  const [first, ...more] = known.map((name) => `\`${prefix}${name}\``)
  return `Unknown option \`${prefix}${name}\` ${where}. ${more.length === 0 ? `The only one is ${first}` : `Known are ${[first, ...more].join(', ')}`}`
}

/** The kind of a value, and never the value: for what may be a payload. */
export function kindOf (value: unknown): string {
  if (value === null || value === undefined) return `\`${value}\``
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return value.constructor?.name && value.constructor !== Object ? `an instance of ${value.constructor.name}` : 'an object'
  return `a ${typeof value}`
}

/** What stands in a message where a value was found: its kind, and the value itself only where it is short and plain. */
export function describe (value: unknown): string {
  if (typeof value === 'string') return value.length <= 40 ? `${JSON.stringify(value)} (string)` : `a string of ${value.length} characters`
  if (typeof value === 'number' || typeof value === 'boolean') return `\`${value}\` (${typeof value})`
  return kindOf(value)
}

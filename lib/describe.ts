// How a value that was found is named in an error's message.

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

// How a value that was found is named in an error's message.

/** What stands in a message where a value was found: its kind, and the value itself only where it is short and plain. */
export function describe (value: unknown): string {
  if (typeof value === 'string') return value.length <= 40 ? `${JSON.stringify(value)} (string)` : `a string of ${value.length} characters`
  if (typeof value === 'number' || typeof value === 'boolean') return `\`${value}\` (${typeof value})`
  if (value === null || value === undefined) return `\`${value}\``
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return value.constructor?.name && value.constructor !== Object ? `an instance of ${value.constructor.name}` : 'an object'
  return `a ${typeof value}`
}

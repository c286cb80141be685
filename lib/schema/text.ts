// Which payloads are text.

/** Whether a payload of the schema goes out as it is, one `data` line a line, and not as JSON. */
export function isText (schema: unknown): boolean {
  const { type, contentMediaType } = Object(schema) as { type?: unknown, contentMediaType?: unknown }
  return type === 'string' && contentMediaType === 'text/plain'
}

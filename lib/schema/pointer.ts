// What stands behind the `#` of a `$ref`: a JSON Pointer, RFC 6901, or the name that a schema further in has given itself.
// https://json-schema.org/draft/2020-12/json-schema-core#section-8.2.2
import { SSE_ERR_INVALID_SCHEMA } from '../errors.js'

/**
 * @param pointer as it stands there
 * @param path for messages
 * @returns undefined where it leads nowhere
 * @throws SSE_ERR_INVALID_SCHEMA
 */
export function follow (schema: unknown, pointer: string, path: string): unknown {
  if (pointer !== '' && !pointer.startsWith('/')) return named(schema, decode(pointer, path))
  return pointer.split('/').slice(1).reduce((node, token) => {
    const key = decode(token, path).replaceAll('~1', '/').replaceAll('~0', '~')
    return typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[key] : undefined
  }, schema)
}

function decode (token: string, path: string): string {
  try {
    return decodeURIComponent(token)
  } catch (cause) {
    throw new SSE_ERR_INVALID_SCHEMA(`Expected the $ref in the schema of ${path} to be percent-encoded`, { cause })
  }
}

/** By `$anchor`, or as draft 7 has it by an `$id` of a fragment. */
function named (node: unknown, anchor: string): unknown {
  if (typeof node !== 'object' || node === null) return undefined
  const { $anchor, $id } = node as { $anchor?: unknown, $id?: unknown }
  if ($anchor === anchor || $id === `#${anchor}`) return node
  for (const child of Object.values(node)) {
    const found = named(child, anchor)
    if (found !== undefined) return found
  }
  return undefined
}

// JSON Pointers within schemas, RFC 6901.
import { SSE_ERR_INVALID_SCHEMA } from '../errors.js'

/**
 * @param pointer as it stands behind the `#` of a `$ref`
 * @param path for messages
 * @returns undefined where it leads nowhere
 * @throws SSE_ERR_INVALID_SCHEMA
 */
export function follow (schema: unknown, pointer: string, path: string): unknown {
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

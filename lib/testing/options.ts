// A mistyped `until` would make a test pass for any stream that ends.
import { unknownName } from '../describe.js'
import { SSE_ERR_INVALID_OPTION } from '../errors.js'

/** @throws SSE_ERR_INVALID_OPTION */
export function checkOptions (given: object, known: readonly string[], where: string): void {
  const unknown = unknownName(given, known, where)
  if (unknown !== undefined) throw new SSE_ERR_INVALID_OPTION(unknown)
}

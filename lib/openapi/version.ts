// What the versions of OpenAPI have words for.

/**
 * 3.2 describes each event of a stream by `itemSchema`. 3.1 does not, but its schemas are those of JSON Schema 2020-12, which can
 * say what a string holds. 3.0 has neither. https://spec.openapis.org/oas/v3.2.0.html#special-considerations-for-server-sent-events
 */
export type Version = '3.0' | '3.1' | '3.2'

/** @param openapi the document's field of that name */
export function versionOf (openapi: unknown): Version {
  const minor = Number(/^3\.(\d+)/.exec(String(openapi))?.[1])
  return minor >= 2 ? '3.2' : minor === 1 ? '3.1' : '3.0'
}

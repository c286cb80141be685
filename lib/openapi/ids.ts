// Names of the schemas that documents refer to. Fastify compiles each schema for its own route, so two routes may have different ones of
// the same `$id`; a document has one place for each.

/** Of all routes with streams. It grows with the routes, which are declared before the start. */
export class SchemaIds {
  readonly #schemas = new Map<string, string>()

  /** @param shared what `app.addSchema()` knows where the schema stands: there its `$id` means that */
  idOf ($id: string, schema: object, shared: Readonly<Record<string, unknown>>): string {
    if (Object.hasOwn(shared, $id) && !this.#schemas.has($id)) this.#schemas.set($id, JSON.stringify(shared[$id]))
    const text = JSON.stringify(schema)
    let id = $id
    for (let count = 2; (this.#schemas.get(id) ?? text) !== text; count++) id = `${$id}-${count}`
    this.#schemas.set(id, text)
    return id
  }
}

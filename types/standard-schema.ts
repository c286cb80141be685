// As much of Standard Schema as is needed here. https://standardschema.dev

/** What zod, valibot, arktype and others give: a schema that checks by itself, whoever made it. */
export interface StandardSchema<Input = any, Output = Input> {
  readonly '~standard': {
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input, readonly output: Output } | undefined
    /** https://standardschema.dev/json-schema */
    readonly jsonSchema?: { readonly input: (options: { target: 'draft-07' | 'draft-2020-12' | 'openapi-3.0', libraryOptions?: Record<string, unknown> }) => Record<string, unknown> }
  }
}

export type StandardResult<Output> =
  | { readonly value: Output, readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined
}

/**
 * The part of Standard Schema (standardschema.dev, version 1) that tabloom uses: zod 3.24+, valibot, arktype and others
 * carry it as `~standard`. Declared here, as its authors recommend, so that types need no dependency.
 */
export interface Schema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What may be written. */
export type InputOf<S extends Schema> = NonNullable<S["~standard"]["types"]>["input"];
/** What is read. */
export type OutputOf<S extends Schema> = NonNullable<S["~standard"]["types"]>["output"];

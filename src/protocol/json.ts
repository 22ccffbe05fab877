/** A value that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };

/** What a value looks like after a round trip through JSON. */
export type Jsonify<T> = unknown extends T
  ? unknown
  : T extends { toJSON(): infer R }
    ? Jsonify<R>
    : T extends string | number | boolean | null
      ? T
      : T extends undefined | symbol | ((...args: never[]) => unknown)
        ? undefined
        : T extends bigint
          ? never
          : T extends Map<unknown, unknown> | Set<unknown>
            ? Record<string, never>
            : T extends readonly (infer Item)[]
              ? Jsonify<Item>[]
              : T extends object
                ? {
                    [Key in keyof T as T[Key] extends symbol | ((...args: never[]) => unknown) ? never : Key]: Jsonify<
                      T[Key]
                    >;
                  }
                : never;

/** Bytes of a text in UTF-8, counted without allocating. Lone surrogates count 3, as TextEncoder writes them. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit <= 0xdbff && isLowSurrogate(text.charCodeAt(i + 1))) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

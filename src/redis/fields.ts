/**
 * Any text as the field of a hash: apart from every other one. Lone surrogates have no UTF-8, and would all become the
 * same character.
 */
export function fieldOf(text: string): string {
  return isWellFormed(text) && !text.startsWith("\0") ? text : `\0${JSON.stringify(text)}`;
}

export function textOf(field: string): string {
  return field.startsWith("\0") ? (JSON.parse(field.slice(1)) as string) : field;
}

const LONE_SURROGATE = /\p{Surrogate}/u;
const isWellFormed = (text: string): boolean => !LONE_SURROGATE.test(text);

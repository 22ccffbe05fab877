/** Crockford's base 32, as in ULID: in order as texts when of equal length. */
export const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The last `length` digits of a number. */
export function base32(value: number, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) {
    text = ALPHABET[value % 32]! + text;
    value = Math.floor(value / 32);
  }
  return text;
}

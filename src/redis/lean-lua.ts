/** A piece of a script: a function or a constant (`local NAME = …`, one line) of its top level, or lines that are none. */
interface Piece {
  /** undefined: lines, which are always kept. */
  readonly name?: string;
  readonly text: string;
  readonly words: ReadonlySet<string>;
  /** What only this function needs is made inside it, when it runs. */
  readonly seldom: boolean;
}

/**
 * Preludes and the script behind them as one text, without what the script does not need: a function costs time where it
 * is made, and a script makes them all at each of its runs. What only a function with `-- SELDOM` above it needs is put
 * into that one.
 */
export function leanScript(texts: readonly string[]): string {
  const pieces = texts.flatMap(piecesOf);
  const inner = new Map<Piece, readonly Piece[]>();
  const moved = new Set<Piece>();
  for (const piece of pieces.filter(({ seldom }) => seldom)) {
    const elsewhere = neededBy(linesOf(pieces), pieces, piece);
    const here = [...neededBy([piece], pieces)].filter((needed) => needed !== piece && !elsewhere.has(needed));
    inner.set(
      piece,
      here.filter((needed) => !moved.has(needed)),
    );
    for (const needed of here) moved.add(needed);
  }
  const needed = neededBy(linesOf(pieces), pieces);
  return pieces
    .filter((piece) => piece.name === undefined || (needed.has(piece) && !moved.has(piece)))
    .map((piece) => nested(piece, inner))
    .filter(Boolean)
    .join("\n");
}

/** Functions that these pieces need, and those that they need; not what only `except` needs. In the order of the text. */
function neededBy(needing: readonly Piece[], pieces: readonly Piece[], except?: Piece): ReadonlySet<Piece> {
  const byName = new Map(pieces.map((piece) => [piece.name, piece]));
  const found = new Set<Piece>();
  const visit = ({ words }: Piece): void => {
    for (const word of words) {
      const piece = byName.get(word);
      if (piece === undefined || found.has(piece)) continue;
      found.add(piece);
      if (piece !== except) visit(piece);
    }
  };
  needing.forEach(visit);
  return new Set(pieces.filter((piece) => found.has(piece)));
}

const linesOf = (pieces: readonly Piece[]): Piece[] => pieces.filter(({ name }) => name === undefined);

function nested(piece: Piece, inner: ReadonlyMap<Piece, readonly Piece[]>): string {
  const [first, ...lines] = piece.text.split("\n");
  return [first, ...(inner.get(piece) ?? []).map((other) => nested(other, inner)), ...lines].join("\n");
}

const known = new Map<string, readonly Piece[]>();

/** From `local function` to the `end` at the beginning of a line, or on one line. */
function piecesOf(lua: string): readonly Piece[] {
  const found = known.get(lua);
  if (found) return found;
  const pieces: Piece[] = [];
  const add = (text: string, name?: string, seldom = false): void => {
    const bare = withoutComments(text);
    pieces.push({ ...(name === undefined ? {} : { name }), text: bare, words: new Set(bare.match(/\w+/g)), seldom });
  };
  let at = 0;
  const pattern =
    /^(-- SELDOM\n)?local function (\w+)\([^)]*\)(?:.*\bend$|[^]*?^end$)|^local ([A-Z][A-Z_]*) = .*[^{(,\n]$/gm;
  for (const match of lua.matchAll(pattern)) {
    const [whole, seldom, name, constant] = match;
    add(lua.slice(at, match.index));
    add(whole, name ?? constant, seldom !== undefined);
    at = match.index + whole.length;
  }
  add(lua.slice(at));
  known.set(lua, pieces);
  return pieces;
}

/** Whole lines only: what stands in a text of Lua stays. */
function withoutComments(text: string): string {
  return text
    .replace(/^\s*--.*$/gm, "")
    .replace(/\n{2,}/g, "\n")
    .trim();
}

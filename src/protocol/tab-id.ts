/** A tab's id: a name for as long as its page exists, and which of its lives this is (docs/decisions/0012). */
export interface TabId {
  readonly name: string;
  readonly incarnation: number;
}

export function parseTabId(id: string): TabId {
  const slash = id.lastIndexOf("/");
  return { name: id.slice(0, slash), incarnation: Number(id.slice(slash + 1)) };
}

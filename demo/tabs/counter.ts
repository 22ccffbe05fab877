const KEY = "playground:numbers";

/** The numbers of what this tab makes go on after a reload. Takes as many as asked, and returns the first. */
export function nextNumber(amount = 1): number {
  const first = Number(sessionStorage.getItem(KEY) ?? "1");
  sessionStorage.setItem(KEY, String(first + amount));
  return first;
}

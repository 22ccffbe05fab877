type Child = Node | string;
type Attributes = Record<string, string | number | boolean | undefined>;

/** An element of index.html, of the kind that the caller needs. */
export function byId<E extends HTMLElement>(id: string, type: abstract new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return found;
}

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** Writes only what differs, so that a screen reader and a selection are left in peace. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export interface ListView<T> {
  key: (item: T) => string;
  create: (item: T) => HTMLElement;
  update: (element: HTMLElement, item: T) => void;
}

/** Makes the children of `parent` show `items`, keeping the elements of those that stay. */
export function showList<T>(parent: HTMLElement, items: readonly T[], view: ListView<T>): void {
  const old = new Map<string, HTMLElement>();
  for (const child of parent.children) {
    if (child instanceof HTMLElement) old.set(child.dataset["key"] ?? "", child);
  }
  let place: Element | null = parent.firstElementChild;
  for (const item of items) {
    const key = view.key(item);
    const element = old.get(key) ?? view.create(item);
    old.delete(key);
    element.dataset["key"] = key;
    view.update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of old.values()) gone.remove();
}

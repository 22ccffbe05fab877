/**
 * The database of a space: opened and migrated, closed when the browser or another build wants it, opened again when
 * its handle died. Dexie does the opening; this is the one file that knows it.
 */
import { Dexie } from "dexie";
import { TabloomError } from "../protocol/errors.js";
import { SCHEMA, names } from "../protocol/names.js";

/**
 * What each version of the layout adds, from 1 on. Versions are never changed, and take nothing away: a database that
 * any earlier build made becomes this one, and one that is lost half-way is what it was.
 */
const VERSIONS: readonly Record<string, string>[] = [{ meta: "", journal: "", rows: "" }, { pages: "" }];

/** The browser's number of our version 1: Dexie leaves room for its own. */
const NATIVE = 10;

export interface DatabaseOptions {
  space: string;
  /** Another connection keeps an older version open: this one opens as soon as it lets go. */
  onBlocked?: () => void;
  /** Another connection waits for this one to close: to delete the database, or to change its layout. */
  onWanted(to: "delete" | "upgrade"): void;
  /** The browser closed the handle of its own will. */
  onClosed(): void;
}

export class Database {
  readonly #options: DatabaseOptions;
  #opening: Promise<IDBDatabase> | undefined;
  #dexie: Dexie | undefined;

  constructor(options: DatabaseOptions) {
    this.#options = options;
  }

  /** Opens it if it is not. Rejects with `VERSION` when a newer build has changed its layout. */
  async handle(): Promise<IDBDatabase> {
    const opening = (this.#opening ??= this.#open());
    try {
      return await opening;
    } catch (error) {
      if (this.#opening === opening) this.close();
      throw error;
    }
  }

  /** Lets the handle go; transactions that are under way finish. The next `handle` is another. */
  close(): void {
    this.#dexie?.close();
    this.#dexie = undefined;
    this.#opening = undefined;
  }

  async #open(): Promise<IDBDatabase> {
    const { space, onBlocked, onWanted, onClosed } = this.#options;
    // Dexie would open whatever version there is, and add to it what it misses.
    assertReadable(await storedSchema(space));
    const dexie = new Dexie(names.database(space), { autoOpen: false });
    VERSIONS.forEach((added, i) => dexie.version(i + 1).stores(added));
    // Without an answer of false Dexie does what it does by itself: it warns, and closes.
    dexie.on("blocked", () => {
      onBlocked?.();
      return false;
    });
    dexie.on("versionchange", ({ newVersion }) => {
      if (this.#dexie === dexie) onWanted(newVersion === null ? "delete" : "upgrade");
      return false;
    });
    this.#dexie = dexie;
    await dexie.open();
    const handle = dexie.backendDB();
    assertReadable(schemaOf(handle.version));
    handle.addEventListener("close", () => {
      if (this.#dexie === dexie) onClosed();
    });
    return handle;
  }
}

/** The version of the layout on disk; undefined when there is no database, or when this browser does not tell. */
async function storedSchema(space: string): Promise<number | undefined> {
  const name = names.database(space);
  // Where it may not be asked, it cannot be opened either: that says why.
  const found = await indexedDB.databases?.().catch(() => undefined);
  const version = found?.find((database) => database.name === name)?.version;
  return version && schemaOf(version);
}

function schemaOf(version: number): number {
  return Math.floor(version / NATIVE);
}

function assertReadable(schema: number | undefined): void {
  if (schema === undefined || schema <= SCHEMA) return;
  throw new TabloomError(
    "VERSION",
    `this build reads storage up to version ${SCHEMA}, the stored one has ${schema}: reload this tab`,
  );
}

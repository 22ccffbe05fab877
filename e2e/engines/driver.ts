/** What a scenario can do to a real browser, whichever engine it is. */

export const ENGINES = ["chromium", "firefox", "webkit"] as const;
export type EngineName = (typeof ENGINES)[number];

/** What a page is asked to run. It sees the page's globals and its argument, nothing of the test's scope. */
export type PageFunction<Arg, Result> = (arg: Arg) => Result | Promise<Result>;

export interface Tab {
  /** Resolves with what the function comes to, as JSON carries it: undefined arrives as null. */
  evaluate<Result, Arg = undefined>(run: PageFunction<Arg, Result>, arg?: Arg): Promise<Result>;
  reload(): Promise<void>;
  /** To another page, as a link would: this one may go to the back/forward cache. */
  goTo(url: string): Promise<void>;
  back(): Promise<void>;
  close(): Promise<void>;
  /** Ends the process that shows the page, as running out of memory would. Other tabs may have died with it before. */
  crash(): Promise<void>;
  /** Freezes the page as a browser does with tabs in the background, and wakes it. Only where `abilities.freeze`. */
  setFrozen(frozen: boolean): Promise<void>;
  screenshot(file: string): Promise<void>;
}

export interface Browser {
  readonly version: string;
  open(url: string): Promise<Tab>;
  /** Ends every SharedWorker from outside, and tells how many there were. Only where `abilities.endWorkers`. */
  endWorkers(): Promise<number>;
  /** Closes the browser and starts it again on the same profile. */
  restart(): Promise<Browser>;
  /** Closes the browser and deletes its profile. */
  close(): Promise<void>;
}

export interface LaunchOptions {
  /** Windows that keep nothing. */
  privately?: boolean;
  /** A profile that survives a restart. Other browsers may keep theirs in memory. */
  onDisk?: boolean;
}

export interface Engine {
  readonly name: EngineName;
  readonly abilities: { readonly endWorkers: boolean; readonly freeze: boolean };
  launch(options?: LaunchOptions): Promise<Browser>;
  /** Ends what the engine needed besides its browsers. */
  close(): Promise<void>;
}

/** The source of an expression that resolves with JSON text: the one form in which all engines hand results over alike. */
export function sourceOf<Arg, Result>(run: PageFunction<Arg, Result>, arg: Arg | undefined): string {
  const given = arg === undefined ? "undefined" : JSON.stringify(arg);
  return `(async () => JSON.stringify((await (${run.toString()})(${given})) ?? null))()`;
}

/** What an engine cannot do is asked for by mistake: scenarios look at `abilities`. */
export function cannot(what: string): () => never {
  return () => {
    throw new Error(`this engine cannot ${what}`);
  };
}

import type { Kind } from "./plan.js";
import { type ChaosTab, pause } from "./tab.js";
import type { World } from "./world.js";

interface Fault {
  readonly name: string;
  /** How often, against the others. */
  readonly weight: number;
  /** Only in seeds of these kinds. Default: all. */
  readonly kinds?: readonly Kind[];
  /** Whether there is anything to do it to. */
  fits?(world: World): boolean;
  run(world: World): Promise<void>;
}

const HOUR_MS = 3_600_000;
/** Faults after which messages come back that nobody saw, as if they had never been given. */
const HANDS_BACK: readonly Kind[] = ["usual", "deleted", "restart"];

const elected = (world: World): boolean => world.plan.hosting === "elected-tab";
const severalTabs = ({ free }: World): boolean => free.length > 1;

/** The first tab made the worker, or leads; often it is the one to suffer. */
function victim({ free, random }: World): ChaosTab {
  return random.chance(0.4) ? free[0]! : random.pick(free);
}

const FAULTS: readonly Fault[] = [
  { name: "hub killed", weight: 5, run: (world) => world.endHubs({ one: world.random.chance(0.4) }) },
  {
    name: "hub dies between commit and reply",
    weight: 4,
    run: (world) => world.disturb({ faults: { dieAfterCommits: world.random.int(1, 8) } }, { all: true }),
  },
  {
    name: "hub dies in a commit",
    weight: 3,
    run: (world) => world.disturb({ faults: { dieInCommits: world.random.int(1, 8) } }, { all: true }),
  },
  {
    name: "hub dies between checkpoint slices",
    weight: 2,
    run: (world) => world.disturb({ faults: { dieAfterSlices: 1 } }, { all: true }),
  },
  {
    name: "commits fail",
    weight: 2,
    run: (world) => world.disturb({ faults: { failCommits: world.random.int(1, 3) } }, { all: true }),
  },
  {
    name: "tab crashed",
    weight: 4,
    fits: severalTabs,
    async run(world) {
      await victim(world).crash();
      if (world.random.chance(0.5)) await world.open();
    },
  },
  {
    name: "tab closed",
    weight: 3,
    kinds: HANDS_BACK,
    fits: severalTabs,
    async run(world) {
      await victim(world).close();
      if (world.random.chance(0.5)) await world.open();
    },
  },
  { name: "tab reloaded", weight: 3, kinds: HANDS_BACK, run: (world) => victim(world).reload() },
  {
    name: "tab frozen",
    weight: 3,
    kinds: HANDS_BACK,
    fits: severalTabs,
    async run(world) {
      const ms = world.random.int(200, 1500);
      await asleep(world, async (tab) => {
        await tab.setFrozen(true);
        await pause(ms);
        await tab.setFrozen(false);
      });
    },
  },
  {
    name: "back/forward cache",
    weight: 3,
    kinds: HANDS_BACK,
    async run(world) {
      const ms = world.random.int(0, 800);
      await asleep(world, async (tab) => {
        await tab.leave(`${world.venue.site.origin}/e2e/pages/elsewhere.html`);
        await pause(ms);
        await tab.comeBack();
      });
    },
  },
  {
    name: "clock steps by an hour",
    weight: 3,
    run: (world) => world.step(world.random.pick([-HOUR_MS, HOUR_MS])),
  },
  {
    name: "hub hangs",
    weight: 2,
    run: (world) => world.disturb({ hangMs: world.random.int(300, 3000) }, { all: world.random.chance(0.3) }),
  },
  {
    name: "disk full",
    weight: 2,
    async run(world) {
      // Of the hub's own records, and in its own words: the browser would remember for half a minute how much room there was.
      await world.disturb(
        { faults: { full: world.random.int(60, world.random.chance(0.5) ? 200 : 1500) } },
        { all: true },
      );
      const ms = world.random.int(100, 800);
      world.later(async () => {
        await pause(ms);
        await world.disturb({ faults: { full: false } }, { all: true });
      });
    },
  },
  {
    name: "newer build opens",
    weight: 2,
    fits: (world) => !elected(world),
    run: async (world) => void (await world.open("newer")),
  },
  {
    name: "older build opens",
    weight: 2,
    fits: (world) => !elected(world),
    run: async (world) => void (await world.open("older")),
  },
  {
    name: "offline",
    weight: 2,
    // A page that sleeps could not be loaded again.
    fits: ({ free, living }) => free.length === living.length,
    async run(world) {
      await world.setOnline(false);
      if (world.random.chance(0.5)) await world.endHubs();
      await pause(world.random.int(200, 1000));
      await world.setOnline(true);
    },
  },
  {
    name: "database deleted",
    weight: 30,
    kinds: ["deleted"],
    async run({ free }) {
      await free[0]?.ask(() => deleteDatabase(), []);
    },
  },
  {
    name: "browser restarted",
    weight: 30,
    kinds: ["restart"],
    async run(world) {
      await world.calm();
      await world.restart(world.random.chance(0.5));
    },
  },
];

/** `FAULTS="disk full,hub hangs"`: no others. It changes what the seed decides. */
const only = process.env.FAULTS?.split(",");

/** A fault that this seed allows, as often as its weight says. */
export function pickFault(world: World): Fault {
  const { kind } = world.plan;
  const allowed = FAULTS.filter(({ kinds, fits }) => (kinds?.includes(kind) ?? true) && (fits?.(world) ?? true));
  const wanted = allowed.filter(({ name }) => only?.includes(name) ?? true);
  const fitting = wanted.length > 0 ? wanted : allowed;
  let left = world.random.int(
    1,
    fitting.reduce((sum, { weight }) => sum + weight, 0),
  );
  return fitting.find(({ weight }) => (left -= weight) <= 0)!;
}

/** A tab that does something on its own, while other faults happen to others. */
async function asleep(world: World, sleep: (tab: ChaosTab) => Promise<void>): Promise<void> {
  const tab = victim(world);
  tab.busy = true;
  world.later(async () => {
    await sleep(tab);
    tab.busy = false;
  });
}

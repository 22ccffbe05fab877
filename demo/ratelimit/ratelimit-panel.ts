import { type RateLimit, ratelimit, topic } from "tabloom";
import { z } from "zod";
import { byId } from "../page/dom.js";
import { rest } from "../page/pace.js";
import { repeatWhileOpen, showGist } from "../page/panels.js";
import { LookSchema, follow, unlessLost } from "../space.js";
import { countCall, note } from "../tabs/meter.js";
import { me } from "../tabs/presence.js";
import { type LimitView, createLimitView } from "./limit-view.js";

const LIMIT = 20;
const WINDOW_SECS = 10;
const WHO = "all-tabs";
const HAMMER_MS = 200;
const REFRESH_MS = 100;

const common = { limit: LIMIT, windowSecs: WINDOW_SECS };
const sliding = ratelimit({ id: "sliding", ...common });
const bucket = ratelimit({ id: "bucket", ...common, algorithm: "token-bucket" });

/** What came of each call, for the dots of all tabs. */
const verdicts = topic({
  id: "verdicts",
  schema: z.object({ from: LookSchema, cost: z.number(), sliding: z.boolean(), bucket: z.boolean() }),
  durability: "memory",
  maxLen: 200,
});

const hammer = byId("hammer", HTMLInputElement);

export function showRatelimitPanel(): void {
  const panel = byId("panel-ratelimit", HTMLElement);
  for (const button of panel.querySelectorAll("[data-cost]")) {
    button.addEventListener("click", () => unlessLost(call(Number(button.getAttribute("data-cost")))));
  }
  byId("limit-reset", HTMLButtonElement).addEventListener("click", () => {
    note("reset the rate limits");
    unlessLost(Promise.all([sliding.reset(WHO), bucket.reset(WHO)]));
  });
  hammer.addEventListener("input", () => void keepCalling());
  showViews();
  showGist("ratelimit", async () => `${(await bucket.peek(WHO)).remaining} of ${LIMIT} left`);
}

function showViews(): void {
  const views = {
    sliding: createLimitView("Sliding window", LIMIT, "Every call counts, limited ones too: who hammers stays out."),
    bucket: createLimitView("Token bucket", LIMIT, "A token every 0.5 s. Limited calls take none: some always pass."),
  };
  byId("limits", HTMLDivElement).append(views.sliding.card, views.bucket.card);
  const refresh = async (limit: RateLimit, view: LimitView): Promise<void> => view.show(await limit.peek(WHO));
  repeatWhileOpen("ratelimit", REFRESH_MS, async () => {
    await Promise.all([refresh(sliding, views.sliding), refresh(bucket, views.bucket)]);
  });
  void follow(verdicts, "0-0", ({ data }) => {
    views.sliding.add(data.from, data.cost, data.sliding);
    views.bucket.add(data.from, data.cost, data.bucket);
  });
}

async function call(cost: number): Promise<void> {
  countCall();
  const [bySliding, byBucket] = await Promise.all([sliding.check(WHO, { cost }), bucket.check(WHO, { cost })]);
  await verdicts.pub({ data: { from: me.look, cost, sliding: !bySliding.limited, bucket: !byBucket.limited } });
}

async function keepCalling(): Promise<void> {
  while (hammer.checked) {
    unlessLost(call(1));
    await rest(HAMMER_MS);
  }
}

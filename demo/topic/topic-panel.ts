import { type TopicEventOf, topic } from "tabloom";
import { z } from "zod";
import { byId, el } from "../page/dom.js";
import { plural, timeOfDay } from "../page/format.js";
import { countCall, note } from "../tabs/meter.js";
import { rest } from "../page/pace.js";
import { showGist } from "../page/panels.js";
import { me } from "../tabs/presence.js";
import { LookSchema } from "../space.js";

const MessageSchema = z.object({ from: LookSchema, text: z.string().min(1).max(280) });
type Message = z.infer<typeof MessageSchema>;

/** What people write. Kept for seven days. */
const messages = topic({ id: "messages", schema: MessageSchema, maxLen: 500 });

/** Older lines leave the page, not the topic. */
const MAX_SHOWN = 200;
/** Slow enough to be seen. */
const REPLAY_STEP_MS = 40;

const feed = byId("feed", HTMLOListElement);
const text = byId("text", HTMLInputElement);
let listening = new AbortController();

export function showTopicPanel(): void {
  byId("compose", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    void publish(text.value.trim()).then(() => (text.value = ""));
  });
  byId("quick", HTMLDivElement).addEventListener("click", ({ target }) => {
    if (target instanceof HTMLButtonElement) void publish(target.value);
  });
  byId("replay", HTMLButtonElement).addEventListener("click", () => {
    note("replays the messages from the beginning");
    void listen(REPLAY_STEP_MS);
  });
  void listen(0);
  showGist("topic", async () => plural((await messages.stats()).entries, "event"));
}

async function publish(content: string): Promise<void> {
  countCall();
  if (content !== "") await messages.pub({ data: { from: me.look, text: content } });
}

/** Shows all messages from the beginning of the topic, and each new one. */
async function listen(stepMs: number): Promise<void> {
  listening.abort();
  listening = new AbortController();
  const { signal } = listening;
  feed.replaceChildren();
  for await (const event of messages.live({ after: "0-0", onGap: "continue", signal })) {
    const isOld = event.publishedAt < performance.timeOrigin;
    if (isOld) await rest(stepMs);
    if (signal.aborted) return;
    show(event);
  }
}

function show({ data: { from, text: content }, publishedAt }: TopicEventOf<Message>): void {
  const time = el("time", { datetime: new Date(publishedAt).toISOString() }, timeOfDay(publishedAt));
  const line = el(
    "li",
    { "data-mine": from.name === me.look.name },
    el("b", {}, from.name),
    el("p", {}, content),
    time,
  );
  line.style.setProperty("--tab", from.colour);
  const atEnd = feed.scrollHeight - feed.scrollTop - feed.clientHeight < 60;
  feed.append(line);
  while (feed.children.length > MAX_SHOWN) feed.firstElementChild?.remove();
  if (atEnd) feed.scrollTop = feed.scrollHeight;
}

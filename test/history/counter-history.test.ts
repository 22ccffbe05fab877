import { describe, expect, it } from "vitest";
import { type CounterHistory, checkCounters } from "./counter-history.js";
import { Story } from "./story.js";

class CounterStory extends Story {
  sets(tab: string, to: number, ok: boolean | "unknown" = true): void {
    const set = this.begins(tab, "cas", { key: "k", to });
    if (ok === "unknown") set.fails("TIMEOUT");
    else set.answers(ok);
  }

  reads(tab: string, value: number | null): void {
    this.begins(tab, "get", { key: "k" }).answers(value);
  }
}

/** The rules that a history breaks, each once. */
function broken(final: number, tell: (story: CounterStory) => void, dead: string[] = []): string[] {
  const story = new CounterStory();
  tell(story);
  const calls = story.calls as CounterHistory["calls"];
  return [...new Set(checkCounters({ calls, dead, final: { k: final } }).map(({ rule }) => rule))];
}

describe("a counter", () => {
  it("is what was counted, and what nobody knows of at most", () => {
    const tell = (story: CounterStory): void => {
      story.reads("a", null);
      story.sets("a", 1);
      story.reads("b", 1);
      story.sets("a", 2);
      story.sets("b", 2, false);
      story.begins("dead", "cas", { key: "k", to: 3 });
      story.sets("a", 3, false);
      story.sets("a", 4, "unknown");
    };
    expect(broken(3, tell, ["dead"])).toEqual([]);
    expect(broken(4, tell, ["dead"])).toEqual([]);
  });

  it("does not forget what was accepted", () => {
    expect(broken(1, (story) => [1, 2].forEach((to) => story.sets("a", to)))).toEqual(["lost"]);
  });

  it("reaches each number once", () => {
    expect(broken(1, (story) => ["a", "b"].forEach((tab) => story.sets(tab, 1)))).toEqual(["applied twice"]);
  });

  it("does not count by itself", () => {
    expect(broken(2, (story) => story.sets("a", 1))).toEqual(["phantom"]);
  });

  it("is not read as less than it was known to be", () => {
    const tell = (story: CounterStory): void => {
      story.sets("a", 1);
      story.sets("a", 2);
      story.reads("b", 1);
    };
    expect(broken(2, tell)).toEqual(["went back"]);
  });

  it("answers", () => {
    expect(broken(0, (story) => void story.begins("a", "get", { key: "k" }))).toEqual(["unanswered"]);
  });
});

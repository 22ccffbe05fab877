import { describe, expect, it } from "vitest";
import { type Access, type Mode, type MutexCall, type MutexHistory, checkMutex, overtaken } from "./mutex-history.js";
import { type Open, Story, blurred } from "./story.js";

/** What tabs do to a mutex and to what it protects, in words. All is about the resource "r" unless it says otherwise. */
class MutexStory extends Story {
  readonly register: Access[] = [];
  readonly #modes = new Map<number, Mode>();

  asks(tab: string, { mode = "exclusive" as Mode, resource = "r", short = false } = {}): Open {
    return this.begins(tab, "acquire", { resource, mode, short });
  }

  locks(tab: string, token: number, mode: Mode = "exclusive", resource = "r"): void {
    this.#modes.set(token, mode);
    this.asks(tab, { mode, resource }).answers({ token });
  }

  accesses(tab: string, token: number, accepted = true, resource = "r"): void {
    this.register.push({ resource, token, mode: this.#modes.get(token) ?? "exclusive", accepted });
    this.begins(tab, "access", { resource, token }).answers(accepted);
  }

  extends(tab: string, token: number, ours = true): void {
    this.begins(tab, "extend", { resource: "r", token }).answers(ours);
  }

  releases(tab: string, ...tokens: number[]): void {
    for (const token of tokens) this.begins(tab, "release", { resource: "r", token }).answers(null);
  }

  loses(tab: string, token: number): void {
    this.begins(tab, "lost", { resource: "r", token }).answers(null);
  }
}

function historyOf(tell: (story: MutexStory) => void, dead: string[] = []): MutexHistory {
  const story = new MutexStory();
  tell(story);
  return { calls: story.calls as MutexCall[], register: story.register, dead };
}

/** The rules that a history breaks, each once. */
function broken(tell: (story: MutexStory) => void, dead?: string[]): string[] {
  return [...new Set(checkMutex(historyOf(tell, dead)).map(({ rule }) => rule))];
}

describe("what a mutex keeps", () => {
  it("is what happened: one after the other, some in vain, some lost, readers together", () => {
    const tell = (story: MutexStory): void => {
      story.locks("a", 1);
      const waits = story.asks("b", { short: true });
      story.accesses("a", 1);
      story.asks("c").answers(null);
      story.asks("c").fails("AbortError");
      story.extends("a", 1);
      story.releases("a", 1);
      waits.answers({ token: 2 });
      story.accesses("b", 2);
      // b was too slow for its ttl.
      story.locks("a", 3);
      story.accesses("a", 3);
      story.accesses("b", 2, false);
      story.extends("b", 2, false);
      story.loses("b", 2);
      story.releases("a", 3);
      story.locks("a", 4, "shared");
      story.locks("b", 6, "shared");
      story.accesses("b", 6);
      story.accesses("a", 4);
      story.extends("a", 4);
      story.releases("b", 6);
      story.locks("b", 7, "exclusive", "another");
      story.releases("a", 4);
      story.accesses("b", 7, true, "another");
      story.releases("b", 7);
    };
    expect(broken(tell)).toEqual([]);
    expect(overtaken(historyOf(tell))).toEqual([]);
  });

  it("is not proven by a tab that died", () => {
    const tell = (story: MutexStory): void => {
      story.locks("dead", 1);
      story.begins("dead", "extend", { resource: "r", token: 1 });
      story.locks("a", 2);
      story.releases("a", 2);
    };
    expect(broken(tell, ["dead"])).toEqual([]);
  });
});

describe("tokens", () => {
  it("are given once", () => {
    const tell = (story: MutexStory): void => {
      story.locks("a", 1);
      story.locks("b", 1, "exclusive", "another");
      story.releases("a", 1);
    };
    expect(broken(tell)).toEqual(["token given twice"]);
  });

  it("grow from grant to grant, whatever the resource", () => {
    const history = historyOf((story) => {
      story.locks("a", 5);
      story.releases("a", 5);
      story.locks("b", 4, "exclusive", "another");
      story.releases("b", 4);
    });
    expect(checkMutex(history)).toMatchObject([{ rule: "tokens went back" }]);
    // Nobody knows which was granted first.
    expect(checkMutex({ ...history, calls: blurred(history.calls) })).toEqual([]);
  });

  it("grow in the order in which a tab asked", () => {
    const tell = (story: MutexStory): void => {
      const [first, second] = [story.asks("a"), story.asks("a")];
      second.answers({ token: 1 });
      story.releases("a", 1);
      first.answers({ token: 2 });
      story.releases("a", 2);
    };
    expect(broken(tell)).toEqual(["first come, first served"]);
  });
});

describe("two holders", () => {
  const rule = "two holders";

  it("are seen when the earlier lock can still be extended", () => {
    for (const [one, other] of [
      ["exclusive", "exclusive"],
      ["shared", "exclusive"],
      ["exclusive", "shared"],
    ] as const) {
      const history = historyOf((story) => {
        story.locks("a", 1, one);
        story.locks("b", 2, other);
        story.extends("a", 1);
        story.releases("a", 1);
        story.releases("b", 2);
      });
      expect(checkMutex(history)).toMatchObject([{ rule }]);
      expect(checkMutex({ ...history, calls: blurred(history.calls) })).toEqual([]);
    }
  });

  it("are seen by a resource that accepts both in turn", () => {
    const tell = (story: MutexStory): void => {
      story.locks("a", 1);
      story.locks("b", 2);
      story.accesses("b", 2);
      story.accesses("a", 1);
      story.loses("a", 1);
      story.releases("b", 2);
    };
    expect(broken(tell)).toEqual(["overlap at the resource"]);
  });

  it("are seen by a reader that reads beside a writer", () => {
    const overlapping = (first: Mode, second: Mode) => (story: MutexStory) => {
      story.locks("a", 1, first);
      story.locks("b", 2, second);
      story.accesses("b", 2);
      story.accesses("a", 1);
      story.releases("a", 1);
      story.releases("b", 2);
    };
    expect(broken(overlapping("shared", "exclusive"))).toEqual(["overlap at the resource"]);
    expect(broken(overlapping("exclusive", "shared"))).toEqual(["overlap at the resource"]);
    expect(broken(overlapping("shared", "shared"))).toEqual([]);
  });

  it("are seen when a lock is extended although its resource has refused it", () => {
    const tell = (story: MutexStory): void => {
      story.locks("a", 1);
      story.accesses("a", 1, false);
      story.extends("a", 1);
      story.releases("a", 1);
    };
    expect(broken(tell)).toEqual(["refused, and still held"]);
  });

  it("are harmless when a resource refuses the first, and counted", () => {
    const history = historyOf((story) => {
      story.locks("a", 1);
      story.locks("b", 2);
      story.accesses("b", 2);
      story.accesses("a", 1, false);
      story.extends("a", 1, false);
      story.releases("a", 1);
      story.releases("b", 2);
    });
    expect(checkMutex(history)).toEqual([]);
    expect(overtaken(history).map(({ token }) => token)).toEqual([1]);
  });

  it("are counted also when the first learns of it at once", () => {
    const history = historyOf((story) => {
      story.locks("a", 1);
      story.loses("a", 1);
    });
    expect(overtaken(history).map(({ token }) => token)).toEqual([1]);
  });

  it("are not counted when the ttl of the first was over", () => {
    const history = historyOf((story) => {
      story.asks("a", { short: true }).answers({ token: 1 });
      story.locks("b", 2);
      story.releases("a", 1);
      story.releases("b", 2);
    });
    expect(overtaken(history)).toEqual([]);
  });
});

describe("a lock", () => {
  it("ends: by release or by being lost", () => {
    expect(broken((story) => story.locks("a", 1))).toEqual(["never ended"]);
  });
});

describe("a call without an answer", () => {
  it("is one that hung", () => {
    expect(broken((story) => void story.asks("a"))).toEqual(["unanswered"]);
  });
});

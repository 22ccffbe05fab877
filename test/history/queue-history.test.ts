import { describe, expect, it } from "vitest";
import { checkQueue } from "./queue-history.js";
import type { Delivery, Item, QueueCall, QueueHistory } from "./queue-told.js";
import { type Open, Story, blurred } from "./story.js";

/** What tabs do to a queue, in words. Ids are made of the message's value. */
class QueueStory extends Story {
  sends(tab: string, ...items: (string | Item)[]): void {
    this.starts(tab, ...items).answers(items.map((item) => ({ messageId: `id ${valueOf(item)}`, duplicate: false })));
  }

  starts(tab: string, ...items: (string | Item)[]): Open {
    return this.begins(tab, "send", {
      items: items.map((item) => (typeof item === "string" ? { value: item } : item)),
    });
  }

  gets(tab: string, value: string, attempt = 1, more: Partial<Delivery> = {}): void {
    const delivery = { value, messageId: `id ${value}`, deliveryId: `${value}/${attempt}`, attempt, ...more };
    this.begins(tab, "recv", {}).answers([delivery]);
  }

  acks(tab: string, value: string, { attempt = 1, ours = true } = {}): void {
    this.begins(tab, "ack", { deliveryId: `${value}/${attempt}` }).answers(ours);
  }

  touches(tab: string, value: string, { attempt = 1, ours = true } = {}): void {
    this.begins(tab, "touch", { deliveryId: `${value}/${attempt}` }).answers(ours);
  }

  nacks(tab: string, value: string, { attempt = 1, ours = true, deadLetter = false } = {}): void {
    this.begins(tab, "nack", { deliveryId: `${value}/${attempt}`, deadLetter }).answers(ours);
  }

  /** Received and acknowledged. */
  handles(tab: string, ...values: string[]): void {
    for (const value of values) {
      this.gets(tab, value);
      this.acks(tab, value);
    }
  }
}

function valueOf(item: string | Item): string {
  return typeof item === "string" ? item : item.value;
}

type Setting = Partial<Omit<QueueHistory, "left">> & { left?: string[] };

function historyOf(tell: (story: QueueStory) => void, { left = [], ...setting }: Setting = {}): QueueHistory {
  const story = new QueueStory();
  tell(story);
  return {
    ordering: "best_effort",
    dead: [],
    calls: story.calls as QueueCall[],
    left: left.map((value) => ({ value, messageId: `id ${value}` })),
    ...setting,
  };
}

/** The rules that a history breaks, each once. */
function broken(tell: (story: QueueStory) => void, setting?: Setting): string[] {
  return [...new Set(checkQueue(historyOf(tell, setting)).map(({ rule }) => rule))];
}

const keyed = (value: string, orderingKey = "k", delayMs = 0): Item => ({ value, orderingKey, delayMs });
const partitioned = { ordering: "ordering_key_partitioned" } as const;

describe("what a queue keeps", () => {
  it("is what happened: sent, delivered, sent back, acknowledged, some left", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1", "2");
      story.sends("b", "3");
      story.sends("b", { value: "4", priority: 0 });
      story.handles("c", "4");
      story.gets("c", "1");
      story.handles("d", "2");
      story.nacks("c", "1");
      story.gets("d", "3");
      story.nacks("d", "3", { deadLetter: true });
      story.gets("d", "1", 2);
      story.touches("d", "1", { attempt: 2 });
      story.acks("c", "1", { ours: false });
      story.acks("d", "1", { attempt: 2 });
      story.sends("a", "5");
    };
    expect(broken(tell, { left: ["3", "5"] })).toEqual([]);
  });

  it("is not proven by a tab that died: its last calls may have had their effect, or not", () => {
    const tell = (story: QueueStory): void => {
      story.starts("dead", "1", "2");
      story.starts("dead", "never arrived", "neither");
      story.sends("a", "3");
      story.handles("a", "1", "2");
      story.gets("dead", "3");
      story.begins("dead", "ack", { deliveryId: "3/1" });
      story.begins("dead", "recv", {});
    };
    expect(broken(tell, { dead: ["dead"] })).toEqual([]);
  });

  it("is not proven by a call that came to nobody knows what", () => {
    const tell = (story: QueueStory): void => {
      story.starts("a", "1").fails("EPOCH_CHANGED");
      story.starts("a", "2").fails("TIMEOUT");
      story.starts("a", "3").fails("CAPACITY");
      story.handles("a", "2");
    };
    expect(broken(tell)).toEqual([]);
  });
});

describe("a call without an answer", () => {
  it("is one that hung, unless its tab died", () => {
    const tell = (story: QueueStory): void => void story.begins("a", "recv", {});
    expect(broken(tell)).toEqual(["unanswered"]);
    expect(broken(tell, { dead: ["a"] })).toEqual([]);
  });
});

describe("a phantom", () => {
  it("is what nobody sent", () => {
    expect(broken((story) => story.handles("a", "1"))).toEqual(["phantom"]);
    expect(broken(() => {}, { left: ["1"] })).toEqual(["phantom"]);
  });

  it("is what was refused", () => {
    const tell = (story: QueueStory): void => {
      story.starts("a", "1").fails("CAPACITY");
      story.handles("a", "1");
    };
    expect(broken(tell)).toEqual(["phantom"]);
  });

  it("is what comes under another id or another ordering key", () => {
    const renamed = (more: Partial<Delivery>) => (story: QueueStory) => {
      story.sends("a", "1");
      story.gets("b", "1", 1, more);
      story.acks("b", "1");
    };
    expect(broken(renamed({ messageId: "other" }))).toEqual(["phantom"]);
    expect(broken(renamed({ orderingKey: "k" }))).toEqual(["phantom"]);
  });
});

describe("a lost message", () => {
  it("was accepted and never came", () => {
    expect(broken((story) => story.sends("a", "1"))).toEqual(["lost"]);
  });

  it("came, was not acknowledged, and came no more", () => {
    const left =
      (settle: (story: QueueStory) => void) =>
      (story: QueueStory): void => {
        story.sends("a", "1");
        story.gets("b", "1");
        settle(story);
      };
    expect(broken(left(() => {}))).toEqual(["lost"]);
    expect(broken(left((story) => story.nacks("b", "1")))).toEqual(["lost"]);
    expect(broken(left((story) => story.nacks("b", "1", { deadLetter: true })))).toEqual(["lost"]);
    expect(broken(left((story) => story.acks("b", "1", { ours: false })))).toEqual(["lost"]);
  });

  it("was held by a tab that died without acknowledging it", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1");
      story.gets("dead", "1");
    };
    expect(broken(tell, { dead: ["dead"] })).toEqual(["lost"]);
  });

  it("came again after an acknowledgement that nobody heard of, which had therefore no effect", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1");
      story.gets("dead", "1");
      story.begins("dead", "ack", { deliveryId: "1/1" });
      story.gets("b", "1", 2);
    };
    expect(broken(tell, { dead: ["dead"] })).toEqual(["lost"]);
  });

  it("was half of an atomic call", () => {
    const tell = (story: QueueStory): void => {
      story.starts("dead", "1", "2");
      story.handles("a", "2");
    };
    expect(broken(tell, { dead: ["dead"] })).toEqual(["all or none"]);
  });
});

describe("a message that is there twice", () => {
  it("was made by one send", () => {
    const tell = (story: QueueStory): void => {
      story.starts("dead", "1");
      story.handles("a", "1");
      story.gets("b", "1", 1, { messageId: "second", deliveryId: "second" });
      story.begins("b", "ack", { deliveryId: "second" }).answers(true);
    };
    expect(broken(tell, { dead: ["dead"] })).toContain("applied twice");
  });

  it("was acknowledged by two tabs", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1");
      story.gets("a", "1");
      story.gets("b", "1", 2);
      story.acks("a", "1");
      story.acks("b", "1", { attempt: 2 });
    };
    expect(broken(tell)).toContain("settled twice");
  });

  it("was settled twice by one delivery", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1");
      story.gets("a", "1");
      story.nacks("a", "1");
      story.acks("a", "1");
    };
    expect(broken(tell)).toEqual(["settled twice"]);
  });

  it("came again, or stayed, after it was acknowledged", () => {
    const acked = (story: QueueStory): void => {
      story.sends("a", "1");
      story.handles("b", "1");
    };
    const again = (story: QueueStory): void => {
      acked(story);
      story.gets("c", "1", 2);
    };
    expect(broken(again)).toEqual(["delivered after it was settled"]);
    expect(broken(acked, { left: ["1"] })).toEqual(["delivered after it was settled"]);
  });

  it("came again after it was given to the dead letters", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1");
      story.gets("b", "1");
      story.nacks("b", "1", { deadLetter: true });
      story.gets("c", "1", 2);
    };
    expect(broken(tell, { left: ["1"] })).toEqual(["delivered after it was settled"]);
  });

  it("was with two tabs at once", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1");
      story.gets("a", "1");
      story.gets("b", "1", 2);
      story.touches("a", "1");
      story.acks("b", "1", { attempt: 2 });
    };
    expect(broken(tell)).toEqual(["held twice"]);
    // Of tabs whose clocks say nothing, nobody knows.
    const history = historyOf(tell);
    expect(checkQueue({ ...history, calls: blurred(history.calls) })).toEqual([]);
  });

  it("has two deliveries of one number", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1");
      story.gets("a", "1");
      story.gets("b", "1", 1, { deliveryId: "other" });
      story.begins("b", "ack", { deliveryId: "other" }).answers(true);
    };
    expect(broken(tell)).toEqual(["attempt counted wrong"]);
  });
});

describe("an idempotency key", () => {
  const once = (value: string): Item => ({ value, idempotencyKey: "once" });
  const repeats = (story: QueueStory, tab: string, value: string, messageId: string): void =>
    story.starts(tab, once(value)).answers([{ messageId, duplicate: true }]);

  it("has one effect, whoever sends it how often", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", once("1"));
      repeats(story, "b", "2", "id 1");
      story.handles("b", "1");
      repeats(story, "a", "3", "id 1");
    };
    expect(broken(tell)).toEqual([]);
  });

  it("may have had it for a tab that died", () => {
    const tell = (story: QueueStory): void => {
      story.starts("dead", once("1"));
      repeats(story, "b", "2", "id 1");
      story.handles("b", "1");
    };
    expect(broken(tell, { dead: ["dead"] })).toEqual([]);
  });

  const rule = "one effect per idempotency key";

  it("has none twice", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", once("1"));
      story.sends("b", once("2"));
      story.handles("b", "1", "2");
    };
    expect(broken(tell)).toEqual([rule]);
  });

  it("names one message", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", once("1"));
      repeats(story, "b", "2", "another");
      story.handles("b", "1");
    };
    expect(broken(tell)).toEqual([rule]);
  });

  it("is not a duplicate of nothing", () => {
    const tell = (story: QueueStory): void => {
      story.starts("dead", once("1"));
      repeats(story, "b", "2", "id 1");
    };
    expect(broken(tell, { dead: ["dead"] })).toEqual([rule]);
  });

  it("lets nothing out of what it refused", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", once("1"));
      repeats(story, "b", "2", "id 1");
      story.handles("b", "1", "2");
    };
    expect(broken(tell)).toContain("phantom");
  });
});

describe("first in, first out", () => {
  const rule = "first in, first out";

  it("holds for claims of one tab, also when they overlap", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1", "2");
      const first = story.begins("b", "recv", {});
      const second = story.begins("b", "recv", {});
      const of = (value: string): Delivery[] => [
        { value, messageId: `id ${value}`, deliveryId: `${value}/1`, attempt: 1 },
      ];
      first.answers(of("2"));
      second.answers(of("1"));
      story.acks("b", "1");
      story.acks("b", "2");
    };
    expect(broken(tell)).toEqual([rule]);
  });

  it("holds within a batch", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1");
      story.sends("b", "2");
      const delivery = (value: string): Delivery => ({
        value,
        messageId: `id ${value}`,
        deliveryId: `${value}/1`,
        attempt: 1,
      });
      story.begins("c", "recv", {}).answers([delivery("2"), delivery("1")]);
      story.acks("c", "1");
      story.acks("c", "2");
    };
    expect(broken(tell)).toEqual([rule]);
  });

  it("holds between tabs as far as their clocks tell", () => {
    const history = historyOf((story) => {
      story.sends("a", "1");
      story.sends("b", "2");
      story.handles("c", "2");
      story.handles("d", "1");
    });
    expect(checkQueue(history)).toMatchObject([{ rule }]);
    expect(checkQueue({ ...history, calls: blurred(history.calls) })).toEqual([]);
  });

  it("does not hold between priorities, nor for what was delayed or comes again", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", "1", { value: "2", delayMs: 10 }, { value: "3", priority: 9 }, "4", "5");
      story.gets("b", "1");
      story.handles("b", "4");
      story.nacks("b", "1");
      story.handles("b", "5", "2", "3");
      story.gets("b", "1", 2);
      story.acks("b", "1", { attempt: 2 });
    };
    expect(broken(tell)).toEqual([]);
  });
});

describe("the order of a key", () => {
  it("is kept by one message at a time; other keys and none do not wait", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", keyed("1"), keyed("2"), keyed("3", "other"), "4");
      story.gets("b", "1");
      story.handles("c", "4", "3");
      story.nacks("b", "1");
      story.gets("c", "1", 2);
      story.acks("c", "1", { attempt: 2 });
      story.handles("b", "2");
    };
    expect(broken(tell, partitioned)).toEqual([]);
  });

  it("is broken by one that is delivered while an earlier one is not settled", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", keyed("1"), keyed("2"));
      story.gets("b", "1");
      story.nacks("b", "1");
      story.handles("c", "2");
      story.gets("b", "1", 2);
      story.acks("b", "1", { attempt: 2 });
    };
    expect(broken(tell, partitioned)).toEqual(["order of a key"]);
  });

  it("is broken by one that is delivered before an earlier one", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", keyed("1"));
      story.sends("b", keyed("2"));
      story.handles("c", "2", "1");
    };
    expect(broken(tell, partitioned)).toEqual(["order of a key"]);
    const delayed = (story: QueueStory): void => {
      story.sends("a", keyed("1", "k", 50));
      story.sends("b", keyed("2"));
      story.handles("c", "2", "1");
    };
    expect(broken(delayed, partitioned)).toEqual([]);
  });

  it("is broken by two of a key at once, whichever was first", () => {
    const tell = (story: QueueStory): void => {
      story.sends("a", keyed("1", "k", 50), keyed("2"));
      story.gets("b", "1");
      story.gets("c", "2");
      story.acks("b", "1");
      story.acks("c", "2");
    };
    expect(broken(tell, partitioned)).toEqual(["held twice"]);
  });
});

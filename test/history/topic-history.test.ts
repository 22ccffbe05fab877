import { describe, expect, it } from "vitest";
import { type Open, Story, blurred } from "./story.js";
import { type Event, type Published, type TopicCall, type TopicHistory, checkTopic } from "./topic-history.js";

/** What tabs do with a topic, in words. What is published is in the log unless it is taken out of it. */
class TopicStory extends Story {
  log: Event[] = [];

  starts(tab: string, ...items: (string | Published)[]): Open {
    return this.begins(tab, "pub", { items: items.map((item) => (typeof item === "string" ? { value: item } : item)) });
  }

  publishes(tab: string, ...items: (string | Published)[]): void {
    const open = this.starts(tab, ...items);
    open.answers(
      items.map((item) => {
        const { eventId, cursor } = this.append(typeof item === "string" ? item : item.value);
        return { eventId, cursor, duplicate: false };
      }),
    );
  }

  append(value: string): Event {
    const event = { value, eventId: `id-${value}`, cursor: `g.${this.log.length + 1}` };
    this.log.push(event);
    return event;
  }

  hears(tab: string, ...values: string[]): void {
    for (const value of values) this.begins(tab, "heard", { value, cursor: "" }).answers(null);
  }

  takes(tab: string, ...values: string[]): void {
    for (const value of values) this.begins(tab, "take", {}).answers({ value, eventId: `id-${value}`, cursor: "" });
  }

  commits(tab: string, value: string, ours = true): void {
    this.begins(tab, "commit", { eventId: `id-${value}` }).answers(ours);
  }
}

function historyOf(tell: (story: TopicStory) => void, dead: string[] = []): TopicHistory {
  const story = new TopicStory();
  tell(story);
  return { calls: story.calls as TopicCall[], log: story.log, dead };
}

/** The rules that a history breaks, each once. */
function broken(tell: (story: TopicStory) => void, dead?: string[]): string[] {
  return [...new Set(checkTopic(historyOf(tell, dead)).map(({ rule }) => rule))];
}

/** All that is published is taken. */
function publish(story: TopicStory, tab: string, ...values: string[]): void {
  story.publishes(tab, ...values);
  story.takes("group", ...values);
}

describe("what a topic keeps", () => {
  it("is what happened: all published, heard and taken, some in vain, some unheard of", () => {
    const tell = (story: TopicStory): void => {
      publish(story, "a", "a1", "a2");
      story.starts("a", { value: "a3", idempotencyKey: "k" }).answers([{ ...story.append("a3"), duplicate: false }]);
      story
        .starts("b", { value: "b1", idempotencyKey: "k" })
        .answers([{ eventId: "id-a3", cursor: "g.3", duplicate: true }]);
      story.starts("b", "b2").fails("QUOTA");
      // Nobody knows of these two; one had its effect.
      story.starts("dead", "d1");
      story.starts("dead", "d2");
      story.append("d1");
      story.hears("b", "a2", "a3", "d1");
      story.hears("dead", "a1");
      story.takes("b", "a3", "d1");
      story.commits("b", "a3");
      story.commits("b", "a3", false);
      story.begins("b", "take", {}).answers(null);
    };
    expect(broken(tell, ["dead"])).toEqual([]);
  });
});

describe("an event", () => {
  it("is lost when it was accepted and is not there", () => {
    const tell = (story: TopicStory): void => {
      publish(story, "a", "a1", "a2");
      story.log.pop();
    };
    expect(broken(tell)).toEqual(["lost"]);
  });

  it("is a phantom when it was refused, or never published, or is elsewhere than was said", () => {
    for (const tell of [
      (story: TopicStory) => {
        story.starts("a", "a1").fails("QUOTA");
        story.append("a1");
        story.takes("b", "a1");
      },
      (story: TopicStory) => {
        story.append("a1");
        story.takes("b", "a1");
      },
      (story: TopicStory) => {
        publish(story, "a", "a1");
        story.log[0] = { ...story.log[0]!, cursor: "g.7" };
      },
    ])
      expect(broken(tell)).toEqual(["phantom"]);
  });

  it("is there once", () => {
    const tell = (story: TopicStory): void => {
      publish(story, "a", "a1");
      story.append("a1");
    };
    expect(broken(tell)).toEqual(["applied twice"]);
  });

  it("is there with all of its call, or with none", () => {
    const tell = (story: TopicStory): void => {
      story.starts("dead", "d1", "d2");
      story.append("d1");
      story.takes("b", "d1");
    };
    expect(broken(tell, ["dead"])).toEqual(["all or none"]);
  });

  it("is the only one of its idempotency key", () => {
    const twice = (story: TopicStory): void => {
      story.publishes("a", { value: "a1", idempotencyKey: "k" });
      story.publishes("b", { value: "b1", idempotencyKey: "k" });
      story.takes("b", "a1", "b1");
    };
    const ofNothing = (story: TopicStory): void =>
      story
        .starts("a", { value: "a1", idempotencyKey: "k" })
        .answers([{ eventId: "gone", cursor: "g.1", duplicate: true }]);
    for (const tell of [twice, ofNothing]) expect(broken(tell)).toEqual(["one effect per idempotency key"]);
  });
});

describe("the log", () => {
  it("has no holes", () => {
    const tell = (story: TopicStory): void => {
      publish(story, "a", "a1", "a2", "a3");
      story.log.splice(1, 1);
    };
    expect(broken(tell)).toEqual(["lost", "hole in the log"]);
  });

  it("is in the order in which a tab published", () => {
    const tell = (story: TopicStory): void => {
      const [first, second] = [story.starts("a", "a1"), story.starts("a", "a2")];
      second.answers([{ ...story.append("a2"), duplicate: false }]);
      first.answers([{ ...story.append("a1"), duplicate: false }]);
      story.takes("b", "a1", "a2");
    };
    expect(broken(tell)).toEqual(["order of publishing"]);
  });

  it("is in the order of calls that are known to have come one after the other", () => {
    const history = historyOf((story) => {
      story.starts("a", "a1").answers([{ eventId: "id-a1", cursor: "g.2", duplicate: false }]);
      story.starts("b", "b1").answers([{ ...story.append("b1"), duplicate: false }]);
      story.append("a1");
      story.takes("b", "a1", "b1");
    });
    expect(checkTopic(history)).toMatchObject([{ rule: "order of publishing" }]);
    expect(checkTopic({ ...history, calls: blurred(history.calls) })).toEqual([]);
  });
});

describe("a listener", () => {
  const rule = "hole in what was heard";

  it("hears everything from its first event on, in order, once, to the end", () => {
    for (const values of [
      ["a1", "a3"],
      ["a2", "a1", "a3"],
      ["a1", "a1", "a2", "a3"],
      ["a1", "a2"],
      ["a1", "a2", "x"],
    ]) {
      const tell = (story: TopicStory): void => {
        publish(story, "a", "a1", "a2", "a3");
        story.hears("b", ...values);
      };
      expect(broken(tell)).toEqual([rule]);
    }
  });

  it("hears to its end when it dies, and no hole before it", () => {
    const tell =
      (...values: string[]) =>
      (story: TopicStory): void => {
        publish(story, "a", "a1", "a2", "a3");
        story.hears("dead", ...values);
      };
    expect(broken(tell("a1", "a2"), ["dead"])).toEqual([]);
    expect(broken(tell("a1", "a3"), ["dead"])).toEqual([rule]);
  });
});

describe("a group", () => {
  it("is given every event", () => {
    expect(broken((story) => story.publishes("a", "a1"))).toEqual(["never taken"]);
  });

  it("commits an event once, and is not given it afterwards", () => {
    const twice = (story: TopicStory): void => {
      publish(story, "a", "a1");
      story.commits("b", "a1");
      story.commits("c", "a1");
    };
    const again = (story: TopicStory): void => {
      publish(story, "a", "a1");
      story.commits("b", "a1");
      story.takes("c", "a1");
    };
    for (const tell of [twice, again]) expect(broken(tell)).toEqual(["committed twice"]);
  });
});

describe("a call without an answer", () => {
  it("is one that hung", () => {
    expect(broken((story) => void story.begins("a", "take", {}))).toEqual(["unanswered"]);
  });
});

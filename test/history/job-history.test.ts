import { describe, expect, it } from "vitest";
import { type JobCall, type JobHistory, checkJobs } from "./job-history.js";
import { Story } from "./story.js";

class JobStory extends Story {
  submits(tab: string, value: string): void {
    this.begins(tab, "submit", { value }).answers(`id-${value}`);
  }

  runs(tab: string, value: string, ...steps: string[]): void {
    for (const step of steps) this.begins(tab, "ran", { value, step }).answers(null);
  }

  finishes(tab: string, value: string, ...steps: string[]): void {
    for (const step of steps) this.begins(tab, "stepped", { value, step }).answers(null);
  }
}

const done = (value: string): JobHistory["joined"][number] => ({
  id: `id-${value}`,
  status: "completed",
  result: `did ${value}`,
});

/** The rules that a history breaks, each once. */
function broken(tell: (story: JobStory) => void, joined: JobHistory["joined"], dead: string[] = []): string[] {
  const story = new JobStory();
  tell(story);
  const calls = story.calls as JobCall[];
  const found = checkJobs({ calls, dead, joined, resultOf: (value) => `did ${value}` });
  return [...new Set(found.map(({ rule }) => rule))];
}

describe("a job", () => {
  it("is done by one tab after the other, behind the steps that are known to be finished", () => {
    const tell = (story: JobStory): void => {
      story.submits("a", "j");
      story.runs("dead", "j", "one");
      // The first died before it knew that the step was finished.
      story.runs("b", "j", "one");
      story.finishes("b", "j", "one");
      story.finishes("a", "j", "one");
      story.runs("a", "j", "two");
      story.finishes("a", "j", "two");
      story.begins("dead", "submit", { value: "unheard of" });
      story.runs("a", "unheard of", "one");
      story.begins("a", "submit", { value: "refused" }).fails("QUOTA");
    };
    expect(broken(tell, [done("j")], ["dead"])).toEqual([]);
  });

  it("is lost when it was accepted and did not come to its end", () => {
    const tell = (story: JobStory): void => story.submits("a", "j");
    expect(broken(tell, [])).toEqual(["lost"]);
    expect(broken(tell, [{ id: "id-j", status: "failed" }])).toEqual(["lost"]);
  });

  it("has the result of its steps", () => {
    const tell = (story: JobStory): void => story.submits("a", "j");
    expect(broken(tell, [{ ...done("j"), result: "did another" }])).toEqual(["wrong result"]);
  });

  it("does not run when it was refused", () => {
    const tell = (story: JobStory): void => {
      story.begins("a", "submit", { value: "j" }).fails("QUOTA");
      story.runs("b", "j", "one");
    };
    expect(broken(tell, [])).toEqual(["phantom"]);
  });

  it("does not take a step again that is finished", () => {
    const tell = (story: JobStory): void => {
      story.submits("a", "j");
      story.runs("a", "j", "one");
      story.finishes("a", "j", "one");
      story.runs("b", "j", "one");
    };
    expect(broken(tell, [done("j")])).toEqual(["step taken again"]);
  });
});

describe("a submit without an answer", () => {
  it("is one that hung", () => {
    expect(broken((story) => void story.begins("a", "submit", { value: "j" }), [])).toEqual(["unanswered"]);
  });
});

import type { Primitive } from "../../src/engine/primitive.js";
import type { JobState } from "../../src/engine/job-state.js";
import { CapacityError } from "../../src/protocol/errors.js";

/** Inputs (JSON texts) that are refused as if a bound were hit: those of the engine are too far away for a test. */
export const refusedInputs = new Set<string>();

/** The job as it is, but for these. */
export function refusing(job: Primitive<JobState, "job">): Primitive<JobState, "job"> {
  const submit = job.rules["job.submit"];
  return {
    ...job,
    rules: {
      ...job.rules,
      "job.submit": {
        ...submit,
        run(state, item, ctx) {
          if (refusedInputs.has(item.input)) throw new CapacityError({ bound: "test", limit: 0 });
          return submit.run(state, item, ctx);
        },
      },
    },
  };
}

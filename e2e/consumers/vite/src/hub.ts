import { type Schema, job } from "tabloom/worker";

const text: Schema<string> = {
  "~standard": { version: 1, vendor: "consumer", validate: (value) => ({ value: value as string }) },
};

void job({ id: "greetings", schema: text, process: ({ input }) => `${input}, says the worker` }).start();

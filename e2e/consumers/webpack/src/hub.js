import { job } from "tabloom/worker";

const text = { "~standard": { version: 1, vendor: "consumer", validate: (value) => ({ value }) } };

void job({ id: "greetings", schema: text, process: ({ input }) => `${input}, says the worker` }).start();

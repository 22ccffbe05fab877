/** The same from a CommonJS file. */
import server = require("tabloom/server");

const backend = server.connect({ redis: process.env["REDIS_URL"]!, prefix: "consumer" });
const lengths = server.queue({
  id: "lengths",
  schema: {
    "~standard": { version: 1, vendor: "consumer", validate: (value: unknown) => ({ value: value as number }) },
  },
});

async function main(): Promise<void> {
  await lengths.send({ data: 42 });
  const message = await lengths.recv({ wait: false });
  console.log("received", message?.data, await message?.ack());
  await backend.close();
}

void main();

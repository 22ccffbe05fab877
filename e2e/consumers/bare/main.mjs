// An app that did not install ioredis. What it imports does no harm; what it calls says what is missing.
import { queue } from "tabloom/server";

const validate = (value) => ({ value });
const letters = queue({ id: "letters", schema: { "~standard": { version: 1, vendor: "consumer", validate } } });
console.log("imported");
await letters.send({ data: "hello" }).catch(({ code, message }) => console.log(code, message));

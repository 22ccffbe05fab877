/** Takes orders: submits jobs, and works on none of them. */
import { onStop, orders, pause, say, stopping } from "./shop.mjs";

const ITEMS = ["lamp", "chair", "kettle", "clock"];
const count = Number(process.env.SHOP_ORDERS ?? Infinity);
const shop = orders();
onStop(() => shop.close());

for (let number = 1; number <= count && !stopping.signal.aborted; number++) {
  const item = ITEMS[number % ITEMS.length];
  try {
    // The key makes sure of it: whatever is tried again, an order is taken once.
    const id = await shop.submit({ input: { number, item }, key: `order-${number}` });
    say(`takes order ${number}: a ${item} (job ${id})`);
  } catch (error) {
    if (stopping.signal.aborted) break;
    say(`could not take order ${number}: ${error.code ?? error.message}`);
    if (error.retryable) number--;
  }
  await pause(400);
}

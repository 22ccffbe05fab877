/** Registry and ephemeral: a schema's input for what is written, its output for what is read, unions that narrow. */
import { expectTypeOf } from "vitest";
import { z } from "zod";
import * as memory from "../../src/memory.js";
import type { EphemeralEntry, RegistryEntry, RegistryTransaction } from "../../src/memory.js";

const schema = z.object({ at: z.string().transform((text) => new Date(text)), size: z.number().default(1) });
interface Input {
  at: string;
  size?: number | undefined;
}
interface Output {
  at: Date;
  size: number;
}

const registry = memory.registry({ id: "types", schema });
expectTypeOf<Parameters<typeof registry.upsert>[0]["value"]>().toEqualTypeOf<Input>();
expectTypeOf(registry.upsert).returns.resolves.toEqualTypeOf<RegistryEntry<Output>>();
expectTypeOf(registry.get).returns.resolves.toEqualTypeOf<RegistryEntry<Output> | null>();
expectTypeOf(registry.transact).returns.resolves.toEqualTypeOf<RegistryTransaction<Output>>();
expectTypeOf<RegistryEntry<Output>["value"]>().toEqualTypeOf<Output>();
// @ts-expect-error -- only upsert and create take a ttl
void (() => registry.transact([{ op: "cas", key: "k", version: "1", value: { at: "" }, ttlMs: 1 }]));
// @ts-expect-error -- an output is no input
void (() => registry.upsert({ key: "k", value: { at: new Date(), size: 1 } }));

const ephemeral = memory.ephemeral({ id: "types", schema, ttlMs: 1000 });
expectTypeOf<Parameters<typeof ephemeral.upsert>[0]["value"]>().toEqualTypeOf<Input>();
expectTypeOf(ephemeral.get).returns.resolves.toEqualTypeOf<EphemeralEntry<Output> | null>();
// @ts-expect-error -- an ephemeral entry has a ttl
void (() => memory.ephemeral({ id: "types", schema }));

void (async () => {
  const event = await registry.reader().recv();
  if (event?.type === "upsert") expectTypeOf(event.entry).toEqualTypeOf<RegistryEntry<Output>>();
  else if (event?.type === "overflow") expectTypeOf(event.firstAvailable).toEqualTypeOf<string>();
  else if (event) expectTypeOf(event.version).toEqualTypeOf<string>();
});

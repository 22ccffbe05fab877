import { type RegistryEntry, registry } from "tabloom";
import { z } from "zod";
import { me } from "../tabs/presence.js";

const SettingSchema = z.union([z.string(), z.number(), z.boolean()]);
export type Setting = z.infer<typeof SettingSchema>;
export type Entry = RegistryEntry<Setting>;

export const HUE = "ui/hue";
export const THREADS = "flags/threads";
const DEFAULTS: readonly [key: string, value: Setting][] = [
  [HUE, 280],
  ["ui/greeting", "hello"],
  [THREADS, true],
];

/** Settings that all tabs share. */
export const settings = registry({ id: "settings", schema: SettingSchema });

/** Every tab may try: only the first one makes them. */
export async function makeDefaults(): Promise<void> {
  await Promise.all(DEFAULTS.map(([key, value]) => settings.create({ key, value })));
}

/** Who wrote it travels beside the value. */
export const signed = (): { meta: string } => ({ meta: me.look.name });
export const writerOf = ({ meta }: Entry): string => (typeof meta === "string" ? meta : "the page");

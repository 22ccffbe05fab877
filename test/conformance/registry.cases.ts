import type { Case } from "./case.js";
import { entryReaderCases } from "./entry-readers.js";
import { entryRecvCases } from "./entry-recv.js";
import { registryEntries } from "./registry-entries.cases.js";
import { registryExpiry } from "./registry-expiry.cases.js";
import { registryKeys } from "./registry-keys.cases.js";
import { registryList } from "./registry-list.cases.js";

export const registryCases: Case[] = [
  ...registryEntries,
  ...registryKeys,
  ...registryList,
  ...registryExpiry,
  ...entryReaderCases("registry"),
  ...entryRecvCases("registry"),
];

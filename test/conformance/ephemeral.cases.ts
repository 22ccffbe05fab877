import type { Case } from "./case.js";
import { entryReaderCases } from "./entry-readers.js";
import { entryRecvCases } from "./entry-recv.js";
import { ephemeralBound } from "./ephemeral-bound.cases.js";
import { ephemeralEntries } from "./ephemeral-entries.cases.js";

export const ephemeralCases: Case[] = [
  ...ephemeralEntries,
  ...ephemeralBound,
  ...entryReaderCases("ephemeral"),
  ...entryRecvCases("ephemeral"),
];

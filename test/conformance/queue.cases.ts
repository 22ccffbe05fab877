import type { Case } from "./case.js";
import { queueDead } from "./queue-dead.cases.js";
import { queueIdentity } from "./queue-identity.cases.js";
import { queueOrdering } from "./queue-ordering.cases.js";
import { queueRecv } from "./queue-recv.cases.js";
import { queueSend } from "./queue-send.cases.js";
import { queueSettle } from "./queue-settle.cases.js";
import { queueValues } from "./queue-values.cases.js";

export const queueCases: Case[] = [
  ...queueIdentity,
  ...queueValues,
  ...queueSend,
  ...queueRecv,
  ...queueSettle,
  ...queueDead,
  ...queueOrdering,
];

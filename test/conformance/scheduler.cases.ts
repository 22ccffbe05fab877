import type { Case } from "./case.js";
import { schedulerControl } from "./scheduler-control.cases.js";
import { schedulerHandlers } from "./scheduler-handlers.cases.js";
import { schedulerRegister } from "./scheduler-register.cases.js";
import { schedulerSlots } from "./scheduler-slots.cases.js";

export const schedulerCases: Case[] = [
  ...schedulerRegister,
  ...schedulerSlots,
  ...schedulerHandlers,
  ...schedulerControl,
];

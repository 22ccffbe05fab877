import type { Case } from "./case.js";
import { mutexAcquire } from "./mutex-acquire.cases.js";
import { mutexHeld } from "./mutex-held.cases.js";
import { mutexWaiting } from "./mutex-waiting.cases.js";

export const mutexCases: Case[] = [...mutexAcquire, ...mutexWaiting, ...mutexHeld];

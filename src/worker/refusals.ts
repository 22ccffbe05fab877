import { TabloomError } from "../protocol/errors.js";

export function quotaError(): TabloomError {
  return new TabloomError("QUOTA", "the origin's storage is full");
}

export function epochError(op: string): TabloomError {
  return new TabloomError("EPOCH_CHANGED", `the hub died while ${op} was under way; its memory-only state is gone`);
}

export function forgottenError(op: string): TabloomError {
  return new TabloomError("INDETERMINATE", `the tab was away for too long; nobody knows whether ${op} had its effect`);
}

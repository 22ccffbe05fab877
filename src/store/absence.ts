/** Some browsers answer like this in private windows, others when they are only not ready yet. */
const UNSURE = "InvalidStateError";
const LOOKS = 3;
const LOOK_AGAIN_MS = 100;

/**
 * Opens the database; resolves with why there is none where the browser gives no storage: private windows, site data
 * blocked, opaque origins. Rejects, for another try later, when there is storage that fails: what it holds would be
 * missed, and what is written meanwhile lost. `wasThere`: it has been open before, so it cannot be absent.
 */
export async function openUnlessAbsent(open: () => Promise<unknown>, wasThere: boolean): Promise<string | undefined> {
  for (let looks = 1; ; looks++) {
    try {
      if (!hasFactory()) return "this browser has no IndexedDB here; nothing will survive a reload";
      await open();
      return undefined;
    } catch (error) {
      const { name, message } = error as Error;
      if (name === UNSURE && looks < LOOKS) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS * looks));
      } else if (!wasThere && isRefusal(error as Error)) {
        return `this browser refuses IndexedDB here (${name}: ${message}); nothing will survive a reload`;
      } else throw error;
    }
  }
}

/** Where it is not allowed, some browsers throw at its mere name: that is a refusal, too. */
function hasFactory(): boolean {
  return typeof indexedDB === "object" && indexedDB !== null;
}

function isRefusal({ name, message }: Error): boolean {
  // Chromium with site data blocked: "The user denied permission to access the database."
  return name === "SecurityError" || name === UNSURE || (name === "UnknownError" && /denied permission/.test(message));
}

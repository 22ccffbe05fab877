/** What a listener of the app throws is the app's, not the call's under which it ran: uncaught, as from an event listener. */
export function isolated(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

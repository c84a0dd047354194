/** The lifecycle states of an agent, from its creation to its end. */
export const states = [
  "created",
  "starting",
  "start_timeout",
  "start_error",
  "ready",
  "shutting_down",
  "shutdown_timeout",
  "shutdown_error",
  "off"
] as const
export type State = (typeof states)[number]

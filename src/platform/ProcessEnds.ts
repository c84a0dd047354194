/**
 * The ends of a process that Node and Effect do not handle. A program calls {@link prepare} before it loads anything else.
 *
 * - A signal ends the process while its modules are loaded, also as process 1, for which the kernel ignores every signal
 *   without a handler.
 * - SIGHUP ends the process as SIGTERM does.
 * - A reader that closes the pipe of its output does not end the process: further lines are lost.
 */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** Installs the handlers, and returns a function to call as soon as the program handles SIGINT and SIGTERM itself. */
export const prepare = (): (() => void) => {
  const exit = () => process.exit(0)
  for (const signal of signals) process.on(signal, exit)
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignore)
  return () => {
    process.on("SIGHUP", () => process.kill(process.pid, "SIGTERM"))
    for (const signal of signals) process.removeListener(signal, exit)
  }
}

const ignore = () => {}

/**
 * The limit that the operating system sets on the open files and sockets of this process.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"

/** The connections that a process accepts if its limit allows so many. */
const defaultConnections = 20_000

/** Descriptors for everything but connections and the database: modules, logs, pipes, and the tools of an operator. */
const reserved = 64

/** The limit, or `undefined` on a system that does not report it. Node itself raises the soft limit to the hard one. */
const limit = Effect.sync(() => {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
})

/**
 * Returns how many connections the process can accept beside those of its database, at most `maxConnections`, or else
 * {@link defaultConnections}. Warns if the limit allows fewer than were asked for.
 */
export const connections = Effect.fnUntraced(function* (options: {
  readonly maxConnections: number | undefined
  readonly database: number
}) {
  const { database, maxConnections = defaultConnections } = options
  const descriptors = yield* limit
  if (descriptors === undefined || descriptors >= maxConnections + database + reserved) return maxConnections
  const allowed = Math.max(1, descriptors - database - reserved)
  yield* options.maxConnections === undefined
    ? Effect.annotateLogs(Effect.logInfo("connections bounded by the limit of open files"), { allowed, descriptors })
    : Effect.annotateLogs(
        Effect.logWarning("fewer connections than MAX_CONNECTIONS: raise the limit of open files (ulimit -n)"),
        { maxConnections, allowed, descriptors }
      )
  return allowed
})

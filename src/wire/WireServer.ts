/**
 * Serves calls of the original's protocol over connections: yamux, and dRPC on each of its streams.
 *
 * - The bytes of one call of `receive` are handled at once, and the writes that follow from them go out together.
 * - A client that breaks the protocol loses its session or stream; that is counted, and logged once in ten seconds.
 * - When the scope of a connection closes its calls are interrupted; when its session ends, its owner is told why.
 * - It pings no client by itself: the owner of a connection does, and ends the connection when no answer comes.
 * - It has no timers: streams that are closed on one side only are swept when the client sends something.
 */
import { Cause, Clock, type Context, Duration, Effect, ErrorReporter, Metric, type Scope } from "effect"
import * as LeanScope from "../platform/LeanScope.ts"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import { type Violation, Transport } from "./Drpc.ts"
import type { Multiplexer } from "./DrpcMultiplexer.ts"
import * as SessionEnd from "./SessionEnd.ts"
import * as WireMetrics from "./WireMetrics.ts"
import * as Yamux from "./Yamux.ts"

export interface Options extends Yamux.Options {
  /** Bytes of messages that are incomplete, that wait or whose calls run, in all streams of a connection. Default 16 MiB. */
  readonly maxHeldBytes?: number | undefined
}

/** A connection that carries bytes. */
export interface Duplex {
  /** Writes at once. */
  readonly write: (bytes: Uint8Array) => void
  /** Waits until the network has taken what was written. */
  readonly drained: Effect.Effect<void>
  /** Runs once, when the session has ended. */
  readonly ended: (reason: Yamux.EndReason) => Effect.Effect<void>
}

export interface WireSession {
  /** Takes what has arrived. Returns what that counts as in calls: a client may send any number of frames without one. */
  readonly receive: (chunks: ReadonlyArray<Uint8Array>) => number
  /** Pings the client, and calls `answered` when it has answered. Returns what forgets the ping. */
  readonly pingUnsafe: (answered: () => void) => () => void
  /** The monotonic time, in milliseconds, at which the client last sent something that is no answer to a ping. */
  readonly heardAtUnsafe: () => number
  /** Tells the client to open no more streams. */
  readonly drain: Effect.Effect<void>
}

export interface WireServer {
  /** Begins a session over a connection; it ends with the scope. */
  readonly open: <C>(
    multiplexer: Multiplexer<C>,
    connection: C,
    duplex: Duplex
  ) => Effect.Effect<WireSession, never, Scope.Scope>
}

/** So many frames and chunks count as one call. A call takes about ten. */
const framesPerCall = 128

/** The time in which one record of violations is logged. */
const logInterval = Duration.toNanosUnsafe("10 seconds")

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<WireServer, never, Scope.Scope> {
  const services = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(services)
  const report = yield* makeReport(services)

  const open = Effect.fnUntraced(function* <C>(
    multiplexer: Multiplexer<C>,
    connection: C,
    { drained, ended, write }: Duplex
  ): Effect.fn.Return<WireSession, never, Scope.Scope> {
    const scope = yield* Effect.scope
    const environment = {
      multiplexer,
      connection,
      budget: { left: options.maxHeldBytes ?? 16 * 1024 * 1024 },
      fork,
      scope,
      drained,
      violated: (reason: Violation) => report("stream", reason),
      died: (name: string, cause: Cause.Cause<unknown>) =>
        void fork(Effect.annotateLogs(Effect.logError("call failed with a defect", cause), { call: name }))
    }
    const session = new Yamux.Session(
      {
        send: write,
        accept: (stream) => new Transport(stream, environment),
        refused: () => WireMetrics.refusedStreams.updateUnsafe(1, services),
        ended: (reason) => {
          if (SessionEnd.isViolation(reason)) report("session", reason)
          fork(ended(reason))
        }
      },
      options
    )
    yield* LeanScope.acquireRelease(Effect.void, () => Effect.sync(() => session.close("closed")))
    let heardAt = MonotonicClock.millisUnsafe(clock)
    let sweptAt = heardAt

    return {
      heardAtUnsafe: () => heardAt,
      receive: (chunks) => {
        const { answers, frames } = session
        try {
          session.receive(...chunks)
        } catch (defect) {
          fork(ErrorReporter.report(Cause.die(defect)))
          session.close("failure of the service")
        }
        const read = session.frames - frames
        const now = MonotonicClock.millisUnsafe(clock)
        if (read > session.answers - answers) heardAt = now
        if (now - sweptAt >= Yamux.sweepInterval) {
          sweptAt = now
          session.sweep(now)
        }
        return (read + chunks.length) / framesPerCall
      },
      pingUnsafe: (answered) => session.ping(answered),
      drain: Effect.sync(() => session.drain())
    }
  })

  return { open }
})

// ----- internals -----

const makeReport = Effect.fnUntraced(function* (services: Context.Context<never>) {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(services)
  let loggedAt: bigint | undefined
  let unlogged = 0
  return (scope: "session" | "stream", reason: string) => {
    Metric.withAttributes(WireMetrics.violations, { scope, reason }).updateUnsafe(1, services)
    const now = clock.monotonicTimeNanosUnsafe()
    if (loggedAt !== undefined && now - loggedAt < logInterval) return void unlogged++
    loggedAt = now
    const annotations = { scope, reason, unlogged }
    unlogged = 0
    fork(Effect.annotateLogs(Effect.logWarning("protocol of an agent broken"), annotations))
  }
})

/**
 * Serves calls of the original's protocol over connections: yamux, and dRPC on each of its streams.
 *
 * - The bytes that one turn reads are handled in that turn, and its writes go out together.
 * - A connection is read from no faster than its owner lets `pull` go on.
 * - A client that breaks the protocol loses its session or stream; that is counted, and logged once in ten seconds.
 * - When the scope of a connection closes its calls are interrupted; when its session ends, `serve` returns why.
 */
import { type Cause, Clock, type Context, Deferred, Duration, Effect, Metric, type Scope } from "effect"
import * as LeanScope from "../platform/LeanScope.ts"
import { type Violation, Transport } from "./Drpc.ts"
import type { Multiplexer } from "./DrpcMultiplexer.ts"
import * as Keepalive from "./Keepalive.ts"
import * as WireMetrics from "./WireMetrics.ts"
import * as Yamux from "./Yamux.ts"

export interface Options extends Yamux.Options, Keepalive.Options {
  /** Bytes of incomplete messages and of messages that wait, in all streams of a connection. Default 16 MiB. */
  readonly maxHeldBytes?: number | undefined
}

/** A connection that carries bytes. */
export interface Duplex<E> {
  /** Waits for the next chunks. */
  readonly pull: Effect.Effect<ReadonlyArray<Uint8Array>, E>
  /** Writes at once. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, E>
  /** Waits until the network has taken what was written. */
  readonly drained: Effect.Effect<void>
}

export interface WireSession<E> {
  /** Pings the client, and waits for its answer. */
  readonly ping: Effect.Effect<void>
  /** Tells the client to open no more streams. */
  readonly drain: Effect.Effect<void>
  /** Serves the connection until it fails or the session has ended, and returns why that has ended. */
  readonly serve: Effect.Effect<Yamux.EndReason, E>
}

export interface WireServer {
  /** Begins a session over a connection; it ends with the scope. */
  readonly open: <C, E>(
    multiplexer: Multiplexer<C>,
    connection: C,
    duplex: Duplex<E>
  ) => Effect.Effect<WireSession<E>, never, Scope.Scope>
}

/** The time in which one record of violations is logged. */
const logInterval = Duration.toNanosUnsafe("10 seconds")

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<WireServer, never, Scope.Scope> {
  const services = yield* Effect.context<never>()
  const keepalive = yield* Keepalive.make(options)
  const fork = Effect.runForkWith(services)
  const report = yield* makeReport(services)

  const open = Effect.fnUntraced(function* <C, E>(
    multiplexer: Multiplexer<C>,
    connection: C,
    { drained, pull, write }: Duplex<E>
  ): Effect.fn.Return<WireSession<E>, never, Scope.Scope> {
    const ended = Deferred.makeUnsafe<Yamux.EndReason>()
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
        send: (bytes) => void fork(Effect.ignore(write(bytes))),
        accept: (stream) => new Transport(stream, environment),
        refused: () => WireMetrics.refusedStreams.updateUnsafe(1, services),
        ended: (reason) => {
          if (reason !== "closed" && reason !== "client gone away") report("session", reason)
          Deferred.doneUnsafe(ended, Effect.succeed(reason))
        }
      },
      options
    )
    yield* LeanScope.acquireRelease(Effect.void, () => Effect.sync(() => session.close("closed")))
    yield* keepalive.watch(session)

    const receive = (chunks: ReadonlyArray<Uint8Array>) => session.receive(...chunks)
    return {
      ping: Effect.callback((resume) => {
        const forget = session.ping(() => resume(Effect.void))
        return Effect.sync(forget)
      }),
      drain: Effect.sync(() => session.drain()),
      serve: Effect.raceFirst(Effect.forever(Effect.map(pull, receive), { disableYield: true }), Deferred.await(ended))
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

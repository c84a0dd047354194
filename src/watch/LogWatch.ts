/**
 * Follows the log lines and the lifecycle of one agent: one actor per watcher.
 *
 * - The actor subscribes before its first read, so that nothing falls between the two. Lines come in their order, each one
 *   once: a read asks for the lines after the last one that was sent.
 * - Stored lines come at once, in pages of {@link pageSize}, with the lifecycle. New lines come when they are announced,
 *   and the lifecycle when it has changed.
 * - An announcement only marks what has to be read, and the mark is taken off before the read begins. A watcher that is up
 *   to date costs at most ten reads a second of either kind, and none while its client does not take the events.
 * - A `Resync` of either subscription marks both. So does the `ping` every fifteen seconds, by the monotonic clock: a
 *   change that nobody announced is late, not missed.
 * - A read that fails is tried again every second, and a subscription that ends is made again. The stream stays open; one
 *   `error` event says why lines are late.
 * - The stream ends with the agent.
 */
import { Context, Deferred, Duration, Effect, Equal, Latch, Layer, Option, Schema, type Scope, Stream } from "effect"
import * as AgentLog from "../domain/AgentLog.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"
import * as WorkspaceEvent from "../domain/WorkspaceEvent.ts"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import * as PubSub from "../pubsub/PubSub.ts"
import { type Lifecycle, LogReader } from "./LogReader.ts"
import type { WatchFailure } from "./WatchFailure.ts"

/** The most lines of one event, and of one read. */
export const pageSize = 500

/** The pause before the next read of a watcher that is up to date. */
export const pause = Duration.millis(100)

/** The pause before a failed read is tried again, and before an ended subscription is made again. */
export const retryPause = Duration.seconds(1)

/** The time from one ping to the next, in milliseconds. */
export const heartbeatMillis = 15_000

/** Logs cannot be read, or cannot be followed. */
export class LogsUnavailable extends Schema.TaggedError<LogsUnavailable>()(
  "LogsUnavailable",
  { message: Schema.String, detail: Schema.String },
  { httpApiStatus: 500 }
) {}

/** Returns the error of a request for logs that has a cause. */
export const unavailable = (cause: Error): LogsUnavailable =>
  new LogsUnavailable({ message: "logs cannot be read or followed", detail: cause.message })

/** An event of the watch: new lines, the lifecycle, why lines are late, or a heartbeat. */
export type LogEvent =
  | { readonly type: "logs"; readonly data: ReadonlyArray<AgentLog.AgentLog> }
  | { readonly type: "lifecycle"; readonly data: Lifecycle }
  | { readonly type: "error"; readonly data: WatchFailure }
  | { readonly type: "ping" }

export class LogWatch extends Context.Service<
  LogWatch,
  {
    /**
     * Returns an agent's stored lines after a line and before another. The first page has been read when this succeeds;
     * further pages are read when the stream asks for them.
     */
    readonly read: (
      agentId: AgentId,
      after: AgentLog.LogId,
      before?: AgentLog.LogId
    ) => Effect.Effect<Stream.Stream<AgentLog.AgentLog, LogsUnavailable>, LogsUnavailable>
    /** Watches an agent until the scope closes. The first events are ready when this succeeds. */
    readonly open: (
      agentId: AgentId,
      after: AgentLog.LogId
    ) => Effect.Effect<Stream.Stream<LogEvent>, LogsUnavailable, Scope.Scope>
  }
>()("metadata-batcher/watch/LogWatch") {}

export const make = Effect.gen(function* () {
  const pubsub = yield* PubSub.PubSub
  const reader = yield* LogReader

  const open = Effect.fn("LogWatch.open")(function* (agentId: AgentId, after: AgentLog.LogId) {
    const ended = yield* Deferred.make<void>()
    const marked = yield* Latch.make()
    // the Resync with which a subscription begins marks both
    const stale = new Set<"logs" | "lifecycle">()
    const mark = (what: "logs" | "lifecycle") => {
      stale.add(what)
      marked.openUnsafe()
    }
    const markAll = () => {
      mark("logs")
      mark("lifecycle")
    }

    // finalizers run in reverse order: this record comes after everything else of the watch
    yield* Effect.addFinalizer(() => Effect.logDebug("log watcher left"))

    let cursor = after
    let isBehind: boolean | undefined
    let known: Lifecycle | undefined
    const poll = Effect.gen(function* () {
      const events: Array<LogEvent> = []
      let readTo = cursor
      if (stale.delete("logs")) {
        const lines = yield* reader.logs(agentId, cursor, pageSize)
        isBehind = lines.length === pageSize
        if (isBehind) stale.add("logs")
        if (lines.length > 0) {
          readTo = lines.at(-1)!.id
          events.push({ type: "logs", data: lines })
        }
      }
      if (stale.delete("lifecycle")) {
        const agent = yield* reader.agent(agentId)
        if (Option.isNone(agent)) yield* Deferred.succeed(ended, undefined)
        else if (!Equal.equals(agent.value.lifecycle, known)) {
          known = agent.value.lifecycle
          events.push({ type: "lifecycle", data: known })
        }
      }
      // only now: a reading that fails takes its lines with it
      cursor = readTo
      return events
    })

    const first = yield* Effect.gen(function* () {
      const agent = yield* reader.agent(agentId)
      yield* follow(pubsub, AgentLog.channel(agentId), markAll, () => mark("logs"))
      if (Option.isSome(agent)) {
        yield* follow(pubsub, WorkspaceEvent.channel(agent.value.ownerId), markAll, (payload) => {
          if (isLifecycleOf(agentId, payload)) mark("lifecycle")
        })
      }
      return yield* poll
    }).pipe(Effect.mapError(unavailable))

    let failures = 0
    const pollOrRetry = poll.pipe(
      Effect.tap(() => {
        if (failures === 0) return Effect.void
        failures = 0
        return Effect.logInfo("logs of a watched agent can be read again")
      }),
      Effect.catch((error) => {
        markAll()
        return failures++ === 0 ? readFailed(error) : Effect.succeed([])
      }),
      Effect.annotateLogs({ agentId })
    )

    let pingAt = (yield* MonotonicClock.millis) + heartbeatMillis
    const next = Effect.gen(function* () {
      if (!isBehind || failures > 0) {
        yield* Effect.andThen(Effect.sleep(failures > 0 ? retryPause : pause), marked.await).pipe(
          Effect.timeoutOption(MonotonicClock.wholeMicros(pingAt - (yield* MonotonicClock.millis)))
        )
      }
      const now = yield* MonotonicClock.millis
      if (now >= pingAt) {
        pingAt = now + heartbeatMillis
        markAll()
        return ping
      }
      marked.closeUnsafe()
      return yield* pollOrRetry
    })

    return Stream.concat(Stream.fromIterable(first), Stream.flattenIterable(Stream.fromEffectRepeat(next))).pipe(
      Stream.interruptWhen(Deferred.await(ended))
    )
  })

  const read = Effect.fn("LogWatch.read")(function* (
    agentId: AgentId,
    after: AgentLog.LogId,
    before: AgentLog.LogId | undefined
  ) {
    const page = (after: AgentLog.LogId) => Effect.mapError(reader.logs(agentId, after, pageSize), unavailable)
    const first = yield* page(after)
    const rest = (lines: ReadonlyArray<AgentLog.AgentLog>): Option.Option<AgentLog.LogId> =>
      lines.length < pageSize ? Option.none() : Option.some(lines.at(-1)!.id)
    const pages = Option.match(rest(first), {
      onNone: () => Stream.empty,
      onSome: (last) =>
        Stream.paginate(last, (last) => Effect.map(page(last), (lines) => [lines, rest(lines)] as const))
    })
    const lines = Stream.concat(Stream.fromIterable(first), pages)
    return before === undefined ? lines : Stream.takeWhile(lines, ({ id }) => id < before)
  })

  return LogWatch.of({
    open: (agentId, after) => Effect.annotateLogs(open(agentId, after), { agentId }),
    read
  })
})

export const layer: Layer.Layer<LogWatch, never, LogReader | PubSub.PubSub> = Layer.effect(LogWatch, make)

const ping: ReadonlyArray<LogEvent> = [{ type: "ping" }]

/**
 * Calls `onMessage` for the messages of a channel and `onResync` where messages may be missing, until the scope closes.
 * Fails when the first subscription does; later ones are made again.
 */
const follow = Effect.fnUntraced(function* (
  pubsub: PubSub.PubSub["Service"],
  channel: string,
  onResync: () => void,
  onMessage: (payload: string) => void
) {
  const subscribed = yield* Deferred.make<void, PubSub.PubSubError>()
  yield* pubsub.subscribe(channel).pipe(
    Stream.runForEach((event) => {
      PubSub.match(event, { Message: ({ payload }) => onMessage(payload), Resync: onResync })
      return Deferred.succeed(subscribed, undefined)
    }),
    Effect.onExit((exit) => Deferred.done(subscribed, exit)),
    Effect.catchCause((cause) => Effect.logDebug("subscription of a log watcher ended", cause)),
    Effect.andThen(Effect.sleep(retryPause)),
    Effect.forever,
    Effect.forkScoped
  )
  yield* Deferred.await(subscribed)
})

const decodeEvent = Schema.decodeUnknownOption(WorkspaceEvent.WorkspaceEvent)

const isLifecycleOf = (agentId: AgentId, payload: string): boolean =>
  Option.exists(decodeEvent(payload), (event) => event.kind === "agt_lifecycle_update" && event.agent_id === agentId)

/** Logs the first failure in a row, and returns the event that tells the watcher. */
const readFailed = (error: StoreError): Effect.Effect<ReadonlyArray<LogEvent>> =>
  Effect.as(
    Effect.logWithLevel(error.reason === "cancelled" ? "Debug" : "Error")(
      "logs of a watched agent cannot be read",
      error
    ),
    [{ type: "error", data: { message: "logs cannot be read", detail: error.message } }]
  )

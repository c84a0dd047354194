/**
 * Watching what one agent logs and how far it has come: an actor for each watcher.
 *
 * - It is subscribed before it reads for the first time, so that nothing falls between the two. Lines come in their order,
 *   none twice and none left out: each read asks for what is above the last line that was sent.
 * - What is there comes at once, in pages of {@link pageSize} lines, with the lifecycle; from then on lines come when they
 *   are announced, and the lifecycle when it has changed.
 * - An announcement only marks what there is to read. However many there are, a watcher that has all there is costs at most
 *   ten reads a second of either kind, and none while its client does not take what was sent.
 * - A `Resync` of either subscription marks both. So does every fifteenth second, at which there is a `ping`: what nobody
 *   has announced is late, not lost. Seconds are those that have passed, whatever is done to the time of day.
 * - A read that fails ends the watch with an `error` event, one that was cancelled ends it without a word. So do the end of
 *   a subscription and that of the agent. As long as the agent may log, the watch does not end by itself.
 */
import { Context, Deferred, Duration, Effect, Equal, Latch, Layer, Option, Schema, type Scope, Stream } from "effect"
import * as AgentLog from "../domain/AgentLog.ts"
import type { AgentId } from "../domain/Ids.ts"
import * as WorkspaceEvent from "../domain/WorkspaceEvent.ts"
import * as PubSub from "../pubsub/PubSub.ts"
import { passedMillis } from "./internal/passedMillis.ts"
import { type Lifecycle, LogReader } from "./LogReader.ts"
import type { StoreError } from "../domain/StoreError.ts"
import { type LogEvent, LogsUnavailable } from "./WatchApi.ts"

/** The most lines of one event, and of one read. */
export const pageSize = 500

/** The pause between a read that had all there was and the next one. */
export const pause = Duration.millis(100)

/** A ping is sent when this has passed since there was one. In milliseconds. */
export const heartbeatMillis = 15_000

export class LogWatch extends Context.Service<
  LogWatch,
  {
    /** The first page of an agent's lines after a line. */
    readonly read: (
      agentId: AgentId,
      after: AgentLog.LogId
    ) => Effect.Effect<ReadonlyArray<AgentLog.AgentLog>, LogsUnavailable>
    /** Begins to watch an agent; the first events are there already. The watch ends with the scope. */
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
    const over = yield* Deferred.make<void>()
    const news = yield* Latch.make()
    const stale = { logs: true, lifecycle: true }
    const mark = (what: Partial<typeof stale>) => {
      Object.assign(stale, what)
      news.openUnsafe()
    }

    // added first, so that it runs when all else of the watch has ended
    yield* Effect.addFinalizer(() => Effect.annotateLogs(Effect.logDebug("a watcher of logs has left"), { agentId }))

    /** Marks what the messages of a channel say, from now on. */
    const follow = Effect.fnUntraced(function* (channel: string, onMessage: (payload: string) => void) {
      const subscribed = yield* Deferred.make<void, PubSub.PubSubError>()
      yield* pubsub.subscribe(channel).pipe(
        Stream.runForEach((event) => {
          PubSub.match(event, {
            Message: ({ payload }) => onMessage(payload),
            Resync: () => mark({ logs: true, lifecycle: true })
          })
          return Deferred.succeed(subscribed, undefined)
        }),
        Effect.onExit((exit) => Effect.andThen(Deferred.done(subscribed, exit), Deferred.succeed(over, undefined))),
        Effect.forkScoped
      )
      yield* Deferred.await(subscribed)
    })

    let cursor = after
    let isBehind = false
    let known: Lifecycle | undefined
    const look = Effect.gen(function* () {
      const events: Array<LogEvent> = []
      const { lifecycle, logs } = stale
      Object.assign(stale, { logs: false, lifecycle: false })
      if (logs) {
        const lines = yield* reader.logs(agentId, cursor, pageSize)
        isBehind = lines.length === pageSize
        stale.logs ||= isBehind
        if (lines.length > 0) {
          cursor = lines.at(-1)!.id
          events.push({ type: "logs", data: lines })
        }
      }
      if (lifecycle) {
        const agent = yield* reader.agent(agentId)
        if (Option.isNone(agent)) yield* Deferred.succeed(over, undefined)
        else if (!Equal.equals(agent.value.lifecycle, known)) {
          known = agent.value.lifecycle
          events.push({ type: "lifecycle", data: known })
        }
      }
      return events
    })

    const first = yield* Effect.gen(function* () {
      const agent = yield* reader.agent(agentId)
      yield* follow(AgentLog.channel(agentId), () => mark({ logs: true }))
      if (Option.isSome(agent)) {
        yield* follow(WorkspaceEvent.channel(agent.value.ownerId), (payload) => {
          if (isLifecycleOf(agentId, payload)) mark({ lifecycle: true })
        })
      }
      return yield* look
    }).pipe(Effect.mapError(unavailable))

    let pingedAt = yield* passedMillis
    const next = Effect.gen(function* () {
      if (!isBehind) {
        yield* Effect.andThen(Effect.sleep(pause), news.await).pipe(
          Effect.timeoutOption(pingedAt + heartbeatMillis - (yield* passedMillis))
        )
      }
      const now = yield* passedMillis
      const isDue = now - pingedAt >= heartbeatMillis
      if (isDue) {
        pingedAt = now
        mark({ logs: true, lifecycle: true })
      }
      news.closeUnsafe()
      const events = yield* look
      return isDue ? [...events, { type: "ping" } as const] : events
    })

    return Stream.concat(Stream.fromIterable(first), Stream.flattenIterable(Stream.fromEffectRepeat(next))).pipe(
      Stream.catch(readFailed),
      Stream.interruptWhen(Deferred.await(over))
    )
  })

  const read = Effect.fn("LogWatch.read")((agentId: AgentId, after: AgentLog.LogId) =>
    Effect.mapError(reader.logs(agentId, after, pageSize), unavailable)
  )

  return LogWatch.of({ open, read })
})

export const layer: Layer.Layer<LogWatch, never, LogReader | PubSub.PubSub> = Layer.effect(LogWatch, make)

const unavailable = (cause: Error) =>
  new LogsUnavailable({ message: "logs cannot be read or followed", detail: cause.message })

const decodeEvent = Schema.decodeUnknownOption(WorkspaceEvent.WorkspaceEvent)

const isLifecycleOf = (agentId: AgentId, payload: string): boolean =>
  Option.exists(decodeEvent(payload), (event) => event.kind === "agt_lifecycle_update" && event.agent_id === agentId)

const readFailed = (error: StoreError): Stream.Stream<LogEvent> =>
  error.reason === "cancelled"
    ? Stream.empty
    : Stream.fromEffect(
        Effect.as(Effect.logError("logs of a watched agent cannot be read", error), {
          type: "error",
          data: { message: "logs cannot be read", detail: error.message }
        })
      )

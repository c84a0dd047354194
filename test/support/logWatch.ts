/** A watcher of what agent 1 logs, over lines and a lifecycle that the test controls. */
import { Context, DateTime, Effect, Layer, Latch, Option, Queue, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as AgentLog from "../../src/domain/AgentLog.ts"
import { LogSourceId } from "../../src/domain/Ids.ts"
import * as WorkspaceEvent from "../../src/domain/WorkspaceEvent.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { type Lifecycle, LogReader } from "../../src/watch/LogReader.ts"
import * as LogWatch from "../../src/watch/LogWatch.ts"
import type { LogEvent } from "../../src/watch/LogWatch.ts"
import { workspace } from "./identity.ts"
import { agent } from "./metadataBatcher.ts"
import { StoreError } from "../../src/domain/StoreError.ts"

export const sourceId = LogSourceId.make("10000000-0000-4000-8000-000000000001")

export const failing = (reason: "unavailable" | "cancelled") =>
  Effect.fail(
    new StoreError({ operation: "read the logs of an agent", reason, cause: new Error("as the test wants it") })
  )

export const created: Lifecycle = { state: "created", started_at: null, ready_at: null }

/** The lines of agent 1, and its lifecycle unless it is deleted. */
export interface Logger {
  lines: ReadonlyArray<AgentLog.AgentLog>
  lifecycle: Option.Option<Lifecycle>
}

export const makeLogger = (): Logger => ({ lines: [], lifecycle: Option.some(created) })

export const storeLines = (logger: Logger, outputs: ReadonlyArray<string>) =>
  Effect.sync(() => {
    logger.lines = [
      ...logger.lines,
      ...outputs.map((output, index) => ({
        // the lines of other agents have numbers too
        id: AgentLog.LogId.make(10 * (logger.lines.length + index + 1)),
        created_at: DateTime.makeUnsafe(0),
        level: "info" as const,
        output,
        source_id: sourceId
      }))
    ]
  })

/** Reads what is stored when a read begins. */
export const readerOf = (logger: Logger): LogReader["Service"] => ({
  logs: (agentId, after, limit) =>
    Effect.sync(() => (agentId === agent(1) ? logger.lines.filter(({ id }) => id > after).slice(0, limit) : [])),
  agent: (agentId) =>
    Effect.sync(() =>
      agentId === agent(1)
        ? Option.map(logger.lifecycle, (lifecycle) => ({ ownerId: workspace.ownerId, lifecycle }))
        : Option.none()
    )
})

/** The dependencies of a watcher. */
export const makeWorld = Effect.gen(function* () {
  let extra = yield* Queue.unbounded<PubSub.Event, PubSub.PubSubError>()
  const pubsub = Context.get(yield* Layer.build(PubSub.layerMemory), PubSub.PubSub)
  const world = {
    ...makeLogger(),
    logReads: 0,
    lifecycleReads: 0,
    subscribed: 0,
    reading: Effect.void as Effect.Effect<void, StoreError>,
    /** Stores lines and tells nobody. */
    store: (...outputs: ReadonlyArray<string>) => storeLines(world, outputs),
    announce: pubsub.publish(AgentLog.channel(agent(1)), `{"created_after":0}`),
    /** Stores lines and announces them. */
    log: (...outputs: ReadonlyArray<string>) => Effect.andThen(world.store(...outputs), world.announce),
    event: (kind: WorkspaceEvent.Kind, agentId = agent(1)) =>
      pubsub.publish(
        WorkspaceEvent.channel(workspace.ownerId),
        Schema.encodeSync(WorkspaceEvent.WorkspaceEvent)({ kind, workspace_id: workspace.id, agent_id: agentId })
      ),
    noise: pubsub.publish(WorkspaceEvent.channel(workspace.ownerId), "no event"),
    resync: Effect.suspend(() => Queue.offer(extra, PubSub.Resync())),
    /** Ends the subscription to lines; another one can be made. */
    endSubscription: Effect.gen(function* () {
      const ending = extra
      extra = yield* Queue.unbounded<PubSub.Event, PubSub.PubSubError>()
      yield* Queue.fail(ending, new PubSub.PubSubError({ operation: "subscribe", channel: "any", cause: "refused" }))
    })
  }
  const reader = readerOf(world)
  const layer = LogWatch.layer.pipe(
    Layer.provide([
      Layer.succeed(PubSub.PubSub, {
        publish: pubsub.publish,
        subscribe: (channel) =>
          Stream.merge(
            pubsub.subscribe(channel),
            channel === AgentLog.channel(agent(1)) ? Stream.suspend(() => Stream.fromQueue(extra)) : Stream.empty
          ).pipe(
            Stream.onStart(Effect.sync(() => world.subscribed++)),
            Stream.ensuring(Effect.sync(() => world.subscribed--))
          )
      }),
      Layer.succeed(LogReader, {
        logs: (...page) =>
          Effect.suspend(() => {
            world.logReads++
            return Effect.tap(reader.logs(...page), () => world.reading)
          }),
        agent: (agentId) =>
          Effect.suspend(() => {
            world.lifecycleReads++
            return Effect.tap(reader.agent(agentId), () => world.reading)
          })
      })
    ])
  )
  const service = Context.get(yield* Layer.build(layer), LogWatch.LogWatch)
  return { world, ...service }
})

type World = Effect.Success<typeof makeWorld>

/** A watcher of all lines above `after`, who takes the next event when `ready` is open. */
export const watchFrom = Effect.fnUntraced(function* (
  { open, world }: World,
  after: number = 0,
  ready: Latch.Latch = Latch.makeUnsafe(true)
) {
  const events: Array<LogEvent> = []
  const arrived = yield* Queue.unbounded<LogEvent>()
  const take = (event: LogEvent) => {
    events.push(event)
    return Effect.andThen(Queue.offer(arrived, event), ready.await)
  }
  const fiber = yield* open(agent(1), AgentLog.LogId.make(after)).pipe(
    Effect.flatMap((events) => Stream.runForEach(events, take)),
    Effect.scoped,
    Effect.forkScoped({ startImmediately: true })
  )
  // all other events come with it or before it
  yield* until(arrived, ({ type }) => type === "lifecycle")
  return {
    world,
    events,
    fiber,
    /** Waits for the next event with lines, without the clock. */
    page: until(arrived, ({ type }) => type === "logs"),
    /** The lines of each event that has some. */
    pages: () => events.flatMap((event) => (event.type === "logs" ? [event.data.map(({ output }) => output)] : [])),
    states: () => events.flatMap((event) => (event.type === "lifecycle" ? [event.data.state] : []))
  }
})

const until = (events: Queue.Dequeue<LogEvent>, predicate: (event: LogEvent) => boolean): Effect.Effect<LogEvent> =>
  Effect.repeat(Queue.take(events), { until: predicate })

export const watch = Effect.flatMap(makeWorld, (world) => watchFrom(world))

/** Longer than a watcher waits between two reads. */
export const soon = TestClock.adjust("200 millis")

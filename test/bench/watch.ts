/**
 * Watching: what announcements cost when many watch, in the service as a whole and in its watches alone.
 */
import { Context, DateTime, Duration, Effect, Layer, Queue, Stream } from "effect"
import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import type { AgentMetadata } from "../../src/domain/Metadata.ts"
import { type Event, PubSub, Resync } from "../../src/pubsub/PubSub.ts"
import * as MetadataWatch from "../../src/watch/MetadataWatch.ts"
import * as Meter from "./Meter.ts"
import * as Service from "./Service.ts"
import * as Table from "./Table.ts"
import * as Watchers from "./Watchers.ts"
import * as Workload from "./Workload.ts"

const scales = {
  full: {
    agents: 10_000,
    period: 10,
    flush: "5 seconds",
    watchers: [1, 100, 1_000],
    announcements: 200,
    settle: "3 seconds",
    duration: "5 seconds",
    tick: "1200 millis"
  },
  smoke: {
    agents: 20,
    period: 0.2,
    flush: "20 millis",
    watchers: [1, 2, 4],
    announcements: 5,
    settle: "20 millis",
    duration: "100 millis",
    tick: "20 millis"
  }
} as const

// -----------------------------------------------------------------------------
// the watches alone
// -----------------------------------------------------------------------------

const stored = Workload.keys.map((key, displayOrder): AgentMetadata => ({
  key,
  displayName: key,
  script: key,
  interval: Duration.seconds(10),
  timeout: Duration.seconds(10),
  displayOrder,
  value: ".".repeat(20),
  error: "",
  collectedAt: DateTime.makeUnsafe("2026-01-22T12:00:00Z")
}))

/** Watches over a store and a pubsub in memory, which count. */
const counting = Effect.gen(function* () {
  const subscribers = new Set<Queue.Queue<Event>>()
  const counts = { statements: 0, looks: 0 }
  const publish = (payload: string) => {
    const message: Event = {
      _tag: "Message",
      get payload() {
        counts.looks++
        return payload
      }
    }
    for (const queue of subscribers) Queue.offerUnsafe(queue, message)
  }
  const statement = <A>(answer: () => A) =>
    Effect.sync(() => {
      counts.statements++
      return answer()
    })
  const subscription = Effect.gen(function* () {
    const queue = yield* Effect.acquireRelease(Queue.unbounded<Event>(), (queue) =>
      Effect.sync(() => subscribers.delete(queue))
    )
    subscribers.add(queue)
    Queue.offerUnsafe(queue, Resync())
    return Stream.fromQueue(queue)
  })
  const services = yield* Layer.build(
    MetadataWatch.layer.pipe(
      Layer.provide([
        Layer.succeed(MetadataStore, {
          updateBatch: () => Effect.succeed([]),
          read: () => statement(() => stored),
          readMany: (agents) => statement(() => new Map(agents.map((agent) => [agent, stored])))
        }),
        Layer.succeed(PubSub, {
          publish: (_, payload) => Effect.sync(() => publish(payload)),
          subscribe: () => Stream.unwrap(subscription)
        })
      ])
    )
  )
  return { counts, publish, watches: Context.get(services, MetadataWatch.MetadataWatch) }
})

const nextTurn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

const alone = (scale: Table.Scale) => {
  const { agents: count, announcements, tick, watchers } = scales[scale]
  const agents = Workload.agents(count)
  const perAnnouncement = Math.ceil(count / announcements)
  const payloads = Array.from({ length: announcements }, (_, index) =>
    AgentIdChunks.encode(agents.slice(index * perAnnouncement, (index + 1) * perAnnouncement))
  ).flat()

  const contestant = (watching: number) => ({
    name: `${watching} watchers`,
    round: Effect.gen(function* () {
      const { counts, publish, watches } = yield* counting
      for (const agent of agents.slice(0, watching)) {
        yield* Effect.forkScoped(Stream.runDrain(yield* watches.open(agent)))
      }
      yield* nextTurn
      const before = { ...counts }
      const { cpuMillis } = yield* Meter.read(
        Effect.forEach(
          payloads,
          (payload) =>
            Effect.andThen(
              Effect.sync(() => publish(payload)),
              nextTurn
            ),
          {
            discard: true
          }
        )
      )
      const { looks } = counts
      yield* Effect.sleep(tick)
      return {
        "CPU us/message": (cpuMillis * 1_000) / payloads.length,
        "passes/message": (looks - before.looks) / payloads.length,
        statements: counts.statements - before.statements
      }
    }).pipe(Effect.scoped)
  })

  return Table.make({
    name: "messages",
    title: `${payloads.length} announcements of ${perAnnouncement} agents each, to watchers of one agent each`,
    notes: [
      "The watches alone, over a pubsub and a store in memory. passes: how often a payload is looked at, in the whole",
      "process. statements: reads of the store, within 1.2 seconds in which everyone's agent has changed once."
    ],
    columns: { "CPU us/message": 1, "passes/message": 1, statements: 0 },
    reference: `${watchers[0]} watchers`,
    contestants: watchers.map(contestant)
  })
}

// -----------------------------------------------------------------------------
// the whole service
// -----------------------------------------------------------------------------

const whole = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { agents, duration, flush, period, settle, watchers } = scales[scale]
  const service = yield* Service.start(agents, flush)
  const pace = agents / period

  const contestant = (watching: number) => ({
    name: watching === 0 ? "nobody watches" : `${watching} watchers`,
    round: Effect.gen(function* () {
      const watchers = yield* Watchers.connect(
        service.url,
        service.token,
        service.members.slice(0, watching).map(({ id }) => id),
        Workload.lastKey
      )
      yield* service.fleet.pace(pace, settle)
      watchers.take()
      const before = yield* service.sample
      yield* service.fleet.pace(pace, duration)
      const used = Service.between(before, yield* service.sample)
      const perSecond = (count: number) => (count * 1_000) / used.millis
      return {
        "server CPU %": (used.serverCpu * 100) / used.millis,
        "server CPU ms/NOTIFY": used.serverCpu / used.notifies,
        "Postgres CPU %": (used.postgresCpu * 100) / used.millis,
        "NOTIFYs/s": perSecond(used.notifies),
        "statements/s": perSecond(used.statements),
        "events/s": perSecond(watchers.take().events)
      }
    }).pipe(Effect.scoped)
  })

  return Table.make({
    name: "service",
    title: `${agents} agents report ${Workload.keysPerAgent} keys every ${period} s to one replica`,
    notes: [
      "Each watcher watches another agent over a WebSocket. statements: all that the service makes, those that note the",
      "connections of agents included."
    ],
    columns: {
      "server CPU %": 1,
      "server CPU ms/NOTIFY": 2,
      "Postgres CPU %": 1,
      "NOTIFYs/s": 1,
      "statements/s": 0,
      "events/s": 0
    },
    reference: "nobody watches",
    warmsUp: false,
    contestants: [0, watchers.at(-1)!].map(contestant)
  })
})

export const watch: Table.Part = {
  name: "watch",
  description: "announcements, and who watches",
  tables: Effect.fnUntraced(function* (scale) {
    const services = yield* Layer.build(Service.layer)
    return [yield* Effect.provideContext(whole(scale), services), alone(scale)]
  })
}

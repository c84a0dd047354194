/** The brokers of the pubsub: what a publication costs each of them, by the number of processes that listen. */
import { Duration, Effect, Layer, Queue, Redacted, type Scope, Stream } from "effect"
import * as NatsPubSub from "../../src/pubsub/NatsPubSub.ts"
import * as PgPubSub from "../../src/pubsub/PgPubSub.ts"
import { is, type PubSub } from "../../src/pubsub/PubSub.ts"
import * as RedisPubSub from "../../src/pubsub/RedisPubSub.ts"
import { runPublications } from "../../src/storage/Postgres.ts"
import * as Brokers from "../support/brokers.ts"
import * as Programs from "../support/programs.ts"
import * as Fleet from "./Fleet.ts"
import * as Postgres from "./Postgres.ts"
import * as Processes from "./Processes.ts"
import * as Table from "./Table.ts"

const scales = {
  full: { listeners: [1, 10, 50], publications: 4_000, spaced: 400 },
  smoke: { listeners: [1, 2], publications: 20, spaced: 5 }
} as const

/** Publications that are under way at the same time. */
const concurrency = 64

/** 60 agents, as one announcement of a busy service names them. */
const payload = "a".repeat(60 * 22)

const channel = "bench"

type Service = PubSub["Service"]

interface Broker {
  readonly name: string
  readonly skipped?: undefined
  readonly open: Effect.Effect<Service, unknown, Scope.Scope>
  readonly cpuMillis: Effect.Effect<number | undefined>
}

const brokers = Effect.gen(function* () {
  const services = yield* Effect.context<
    Effect.Services<ReturnType<typeof PgPubSub.make>> | Effect.Services<typeof Postgres.cpuMillis>
  >()
  const overDatabase = { runStatement: yield* runPublications }
  const postgres: Broker = {
    name: "Postgres",
    open: Effect.provideContext(PgPubSub.make(overDatabase), services) as Broker["open"],
    cpuMillis: Effect.provideContext(Postgres.cpuMillis, services)
  }
  const other = Effect.fnUntraced(function* (
    name: string,
    kind: Brokers.Kind,
    make: (options: { readonly url: Redacted.Redacted }) => Effect.Effect<Service, unknown, Scope.Scope>
  ) {
    const program = `${kind}-server` as const
    if (Programs.pathOf(program) === undefined) return { name, skipped: `there is no ${program}` }
    const { pid, url } = yield* Brokers.start(kind)
    const cpuMillis = Effect.sync(() => Processes.threadsCpuMillis(pid))
    return { name, open: make({ url: Redacted.make(url) }), cpuMillis }
  })
  return [postgres, yield* other("NATS", "nats", NatsPubSub.make), yield* other("Redis", "redis", RedisPubSub.make)]
})

/** Opens so many pubsubs, each with one subscriber, and returns the first with the arrivals at the last. */
const listening = Effect.fnUntraced(function* ({ open }: Broker, count: number) {
  const arrivals = yield* Queue.unbounded<void>()
  const pubsubs = yield* Effect.forEach(Array.from({ length: count }), () => open, { concurrency: 10 })
  for (const [index, pubsub] of pubsubs.entries()) {
    const started = yield* Queue.unbounded<void>()
    yield* pubsub.subscribe(channel).pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => {
          if (!is("Message")(event)) Queue.offerUnsafe(started, undefined)
          else if (index === count - 1) Queue.offerUnsafe(arrivals, undefined)
        })
      ),
      Effect.forkScoped
    )
    yield* Queue.take(started)
  }
  return { publish: pubsubs[0]!.publish(channel, payload), arrivals }
})

const round = Effect.fnUntraced(function* (
  broker: Broker,
  listeners: number,
  { publications, spaced }: (typeof scales)[Table.Scale]
) {
  const { arrivals, publish } = yield* listening(broker, listeners)
  const cpuBefore = yield* broker.cpuMillis
  const [elapsed] = yield* Effect.timed(
    Effect.forEach(Array.from({ length: publications }), () => publish, { concurrency, discard: true })
  )
  const cpuAfter = yield* broker.cpuMillis
  yield* Queue.takeAll(arrivals)
  yield* Effect.sleep("200 millis")
  yield* Queue.clear(arrivals)
  const latencies = yield* Effect.forEach(Array.from({ length: spaced }), () =>
    Effect.map(Effect.timed(Effect.andThen(publish, Queue.take(arrivals))), ([latency]) => Duration.toMillis(latency))
  )
  const sorted = latencies.toSorted((a, b) => a - b)
  return {
    "publications/s": publications / Duration.toSeconds(elapsed),
    ...(cpuBefore === undefined || cpuAfter === undefined
      ? {}
      : { "server CPU us/publication": ((cpuAfter - cpuBefore) * 1_000) / publications }),
    "p50 ms": Fleet.quantile(sorted, 0.5),
    "p99 ms": Fleet.quantile(sorted, 0.99)
  }
}, Effect.scoped)

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const all = yield* brokers
  return scales[scale].listeners.map((listeners, index) =>
    Table.make({
      name: `pubsub ${index}`,
      title: `publications with ${listeners} listening ${listeners === 1 ? "process" : "processes"}`,
      notes: [
        `${scales[scale].publications} publications of ${payload.length} bytes, ${concurrency} at a time; then ${scales[scale].spaced} one by one, for the latency.`,
        "This process holds all connections: with many listeners their deliveries bound the rate."
      ],
      columns: { "publications/s": 0, "server CPU us/publication": 1, "p50 ms": 2, "p99 ms": 2 },
      reference: "Postgres",
      contestants: all.map((broker) =>
        broker.skipped === undefined
          ? { name: broker.name, round: round(broker, listeners, scales[scale]) }
          : { name: broker.name, skipped: broker.skipped }
      )
    })
  )
})

export const pubsub: Table.Part = {
  name: "pubsub",
  description: "announcements over Postgres, NATS and Redis",
  tables: (scale) =>
    Effect.flatMap(Layer.build(Layer.provideMerge(Postgres.layerClient, Postgres.layerServerOfMany)), (services) =>
      Effect.provideContext(tables(scale), services)
    )
}

/** The brokers of the pubsub: what a publication costs each of them, by the number of processes that listen. */
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Layer, Option, Queue, Redacted, type Scope, Stream } from "effect"
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
  full: { listeners: { one: 1, some: 10, many: 50 }, publications: 4_000, spaced: 400 },
  smoke: { listeners: { one: 1, some: 2, many: 3 }, publications: 20, spaced: 5 }
} as const

/** Publications that are under way at the same time. */
const concurrency = 64

/** The bytes of 60 agents, as one announcement of a busy service names them. */
const payloadBytes = 60 * 22

/** Returns payloads that differ: the pubsub of Postgres makes one message of equal ones. */
const payloads = (count: number) => Array.from({ length: count }, (_, index) => String(index).padEnd(payloadBytes, "a"))

const channel = "bench"

type Service = PubSub["Service"]

interface Broker {
  readonly name: string
  readonly skipped?: undefined
  readonly open: Effect.Effect<Service, unknown, Scope.Scope>
  readonly cpuMillis: Effect.Effect<number | undefined>
}

const brokers = Effect.gen(function* () {
  const services = yield* Effect.context<Effect.Services<typeof Postgres.cpuMillis>>()
  const client = yield* PgClient.PgClient
  const overDatabase = { runStatement: yield* runPublications }
  const postgres: Broker = {
    name: "Postgres",
    // in the scope of a round, so that none listens in the next one
    open: Effect.provideService(PgPubSub.make(overDatabase), PgClient.PgClient, client),
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
  return { publish: (payload: string) => pubsubs[0]!.publish(channel, payload), arrivals }
})

const round = Effect.fnUntraced(function* (
  broker: Broker,
  listeners: number,
  { publications, spaced }: (typeof scales)[Table.Scale]
) {
  const { arrivals, publish } = yield* listening(broker, listeners)
  const cpuOf = <A, E>(column: string, count: number, self: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const before = yield* broker.cpuMillis
      const result = yield* self
      const after = yield* broker.cpuMillis
      const isKnown = before !== undefined && after !== undefined
      return { result, figure: isKnown ? { [column]: ((after - before) * 1_000) / count } : {} }
    })
  const together = yield* cpuOf(
    "CPU us, together",
    publications,
    // the server delivers for longer than it accepts, and a late arrival would count as that of a later publication
    Effect.forEach(payloads(publications), publish, { concurrency, discard: true }).pipe(
      Effect.timed,
      Effect.tap(() =>
        Effect.repeat(Effect.timeoutOption(Queue.takeAll(arrivals), "200 millis"), { until: Option.isNone })
      )
    )
  )
  const alone = yield* cpuOf(
    "CPU us, alone",
    spaced,
    Effect.forEach(payloads(spaced), (payload) => Effect.timed(Effect.andThen(publish(payload), Queue.take(arrivals))))
  )
  const latencies = alone.result.map(([latency]) => Duration.toMillis(latency))
  const sorted = latencies.toSorted((a, b) => a - b)
  return {
    "publications/s": publications / Duration.toSeconds(together.result[0]),
    ...together.figure,
    ...alone.figure,
    "p50 ms": Fleet.quantile(sorted, 0.5),
    "p99 ms": Fleet.quantile(sorted, 0.99)
  }
}, Effect.scoped)

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const all = yield* brokers
  return Object.entries(scales[scale].listeners).map(([name, listeners]) =>
    Table.make({
      name,
      title: `publications with ${listeners} listening ${listeners === 1 ? "process" : "processes"}`,
      notes: [
        `${scales[scale].publications} publications of ${payloadBytes} bytes, ${concurrency} together, which Postgres gets in one statement; then ${scales[scale].spaced} alone, one after the other, for the latency.`,
        "CPU is that of the server for a publication and all its deliveries. A replica announces alone: once in 250 ms, unless a message is full sooner.",
        "This process holds all connections: with many listeners their deliveries bound the rate."
      ],
      columns: { "publications/s": 0, "CPU us, together": 1, "CPU us, alone": 1, "p50 ms": 2, "p99 ms": 2 },
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

/**
 * The whole system: the service in one process, its fleet in this one, and Postgres, on one machine.
 *
 * The load is what ten thousand agents make of it, then doubled until something gives. A fleet of twice the load is the
 * same agents reporting twice as often: one process may hold no more connections than that on many machines.
 */
import type { Duration } from "effect"
import { Console, Effect, Layer } from "effect"
import * as Fleet from "./Fleet.ts"
import * as Service from "./Service.ts"
import * as Table from "./Table.ts"
import * as Watchers from "./Watchers.ts"
import * as Workload from "./Workload.ts"

const scales = {
  full: {
    agents: 10_000,
    watchers: 100,
    period: 10,
    flush: 5_000,
    first: "2 minutes",
    further: "20 seconds",
    settle: "12 seconds",
    most: 64,
    overload: { base: 4, times: [1, 2, 3, 4] }
  },
  smoke: {
    agents: 20,
    watchers: 2,
    period: 0.2,
    flush: 20,
    first: "200 millis",
    further: "100 millis",
    settle: "100 millis",
    most: 2,
    overload: { base: 1, times: [1, 2] }
  }
} as const

const observe = Effect.fnUntraced(function* (
  { fleet, sample, takeProbe }: Effect.Success<ReturnType<typeof Service.start>>,
  watchers: Watchers.Watchers,
  perSecond: number,
  duration: Duration.Input
) {
  watchers.take()
  const before = yield* sample
  yield* takeProbe
  const outcome = yield* fleet.pace(perSecond, duration)
  const probed = yield* takeProbe
  const after = yield* sample
  return {
    ...Service.between(before, after),
    probed,
    outcome,
    perSecond,
    ages: watchers.take().ages,
    bytes: after.serverBytes
  }
})

type Observation = Effect.Success<ReturnType<typeof observe>>

/** The figures of both tables: how fast answers came, and what kept them. */
const answers = ({ bytes, outcome, probed }: Observation) => ({
  "answer p50 ms": outcome.quantile(0.5),
  "answer p99 ms": outcome.quantile(0.99),
  "fleet lag p99 ms": outcome.lag,
  "turn p99 ms": probed.turnP99,
  "longest turn ms": probed.longestTurn,
  "longest GC ms": probed.longestCollection,
  "heap MB": probed.heapBytes / 1e6,
  "server MB": bytes / 1e6
})

const answerColumns = {
  "answer p50 ms": 1,
  "answer p99 ms": 1,
  "fleet lag p99 ms": 1,
  "turn p99 ms": 1,
  "longest turn ms": 0,
  "longest GC ms": 0,
  "heap MB": 0,
  "server MB": 0
} as const

const figures = (observation: Observation) => {
  const { ages, outcome, ...used } = observation
  const perSecond = (count: number) => (count * 1_000) / used.millis
  const percent = (millis: number) => (millis * 100) / used.millis
  return {
    "updates/s": perSecond(outcome.reports * Workload.keysPerAgent),
    "replaced/s": perSecond(used.replaced),
    "dropped or lost": used.dropped + used.lost,
    "age p50 ms": Fleet.quantile(ages, 0.5),
    "age p99 ms": Fleet.quantile(ages, 0.99),
    ...answers(observation),
    "server CPU %": percent(used.serverCpu),
    "Postgres CPU %": percent(used.postgresCpu),
    "fleet CPU %": percent(used.fleetCpu),
    "rows/s": perSecond(used.written),
    "UPDATEs/s": perSecond(used.updates),
    "NOTIFYs/s": perSecond(used.notifies),
    "statements/s": perSecond(used.statements)
  }
}

/** The first limit that was reached, if any. */
const gave = ({ ages, dropped, lost, outcome, perSecond }: Observation, oldest: number): string | undefined => {
  const answered = (outcome.reports * 1_000) / outcome.millis / perSecond
  if (dropped + lost > 0) return `gave: ${dropped} entries dropped, ${lost} lost`
  if (answered < 0.95) return `gave: ${Math.round(answered * 100)} % of the reports answered in time`
  const age = Fleet.quantile(ages, 0.99)
  if (age > oldest) return `gave: a value in a hundred is older than ${Math.round(age / 1_000)} s`
  return undefined
}

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { agents, first, further, flush, most, period, settle, watchers: watching } = scales[scale]
  // older: it missed its flush and the next read of its watcher
  const oldest = flush + 1_500
  const service = yield* Service.start(agents, `${flush} millis`, Service.withProbe)
  const watchers = yield* Watchers.connect(
    service.url,
    service.token,
    service.members.slice(0, watching).map(({ id }) => id),
    Workload.lastKey
  )

  const names = new Map<number, string>()
  for (let load = 1; load <= most; load *= 2) names.set(load, `${agents * load} agents`)
  const observations = new Map<number, Observation>()
  let end: string | undefined
  for (const [load, name] of names) {
    if (end !== undefined) break
    const perSecond = (agents / period) * load
    yield* Console.error(`system: ${name}, ${perSecond} reports a second`)
    yield* service.fleet.pace(perSecond, settle)
    const observation = yield* observe(service, watchers, perSecond, load === 1 ? first : further)
    observations.set(load, observation)
    end = gave(observation, oldest)
  }

  return [
    overload(service, watchers, scale),
    Table.make({
      name: "load",
      title: `${agents} agents × ${Workload.keysPerAgent} keys every ${period} s, and the load of more`,
      notes: [
        `${watching} people watch one agent each: age is the time from the sending of a value to its sight. Reports have all`,
        `${Workload.keysPerAgent} keys. A load of more agents is made by the same agents, more often. CPU is of one core.`,
        "The fleet measures how late it is itself: the times of answers contain that.",
        `Something gives when entries are dropped or lost, reports not answered, or values seen later than ${oldest} ms.`
      ],
      columns: {
        "updates/s": 0,
        "replaced/s": 0,
        "dropped or lost": 0,
        "age p50 ms": 0,
        "age p99 ms": 0,
        ...answerColumns,
        "server CPU %": 1,
        "Postgres CPU %": 1,
        "fleet CPU %": 1,
        "rows/s": 0,
        "UPDATEs/s": 1,
        "NOTIFYs/s": 1,
        "statements/s": 1
      },
      rounds: 1,
      warmsUp: false,
      contestants: [...names].map(([load, name]) => {
        const observation = observations.get(load)
        if (observation === undefined) return { name, skipped: "something gave before" }
        return {
          name,
          remark: gave(observation, oldest),
          round: Effect.succeed(figures(observation))
        }
      })
    })
  ]
})

/** Ever more reports than the service can write, from the load that it can. */
const overload = (
  service: Effect.Success<ReturnType<typeof Service.start>>,
  watchers: Watchers.Watchers,
  scale: Table.Scale
) => {
  const { agents, further, overload, period, settle } = scales[scale]
  const base = (agents / period) * overload.base
  return Table.make({
    name: "overload",
    title: `goodput against offered load, in multiples of ${base * Workload.keysPerAgent} updates a second`,
    notes: [
      "Accepted updates are written, or replaced by newer ones of their keys before that. The fleet is one process on the",
      "same machine: beyond its own limit it offers less than it should, and its lag says so."
    ],
    columns: {
      "rows/s": 0,
      "updates/s offered": 0,
      "updates/s answered": 0,
      "replaced/s": 0,
      dropped: 0,
      lost: 0,
      "not answered": 0,
      ...answerColumns,
      "server CPU %": 0
    },
    reference: "2 ×",
    rounds: 3,
    warmsUp: false,
    contestants: overload.times.map((times) => ({
      name: `${times} ×`,
      round: Effect.gen(function* () {
        // the backlog of the load before is written meanwhile
        yield* service.fleet.pace(agents / period, settle)
        const observation = yield* observe(service, watchers, base * times, further)
        const { dropped, lost, millis, outcome, perSecond, replaced, serverCpu, written } = observation
        return {
          "rows/s": (written * 1_000) / millis,
          "updates/s offered": perSecond * Workload.keysPerAgent,
          "updates/s answered": (outcome.reports * Workload.keysPerAgent * 1_000) / outcome.millis,
          "replaced/s": (replaced * 1_000) / millis,
          dropped,
          lost,
          "not answered": outcome.unanswered,
          ...answers(observation),
          "server CPU %": (serverCpu * 100) / millis
        }
      })
    }))
  })
}

export const system: Table.Part = {
  name: "system",
  description: "the service, Postgres and a fleet",
  tables: (scale) =>
    Effect.flatMap(Layer.build(Service.layer), (services) => Effect.provideContext(tables(scale), services))
}

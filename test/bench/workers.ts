/**
 * The service as several processes: how many updates a second it takes from agents that report again as soon as they have
 * an answer. The fleet and Postgres share the machine, so that a core of the service is what they leave of it.
 */
import { Effect, Layer } from "effect"
import * as Os from "node:os"
import * as Service from "./Service.ts"
import * as Table from "./Table.ts"
import * as Workload from "./Workload.ts"

const scales = {
  full: { agents: 500, duration: "10 seconds", most: Os.availableParallelism() },
  smoke: { agents: 5, duration: "100 millis", most: 2 }
} as const

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { agents, duration, most } = scales[scale]
  const counts = [1]
  for (let count = 2; count <= most; count *= 2) counts.push(count)
  const services = yield* Effect.forEach(counts, (workers) =>
    Service.start(agents, "1 second", { WORKERS: String(workers) })
  )

  return [
    Table.make({
      name: "workers",
      title: `updates a second over ${agents} connections, by the number of workers`,
      notes: [
        `Each report has ${Workload.keysPerAgent} keys. CPU is of one core; that of the server is the sum of its processes.`,
        `The machine has ${Os.availableParallelism()} cores, which the fleet (one process) and Postgres share.`
      ],
      columns: {
        "updates/s": 0,
        "updates/s per core": 0,
        "answer p99 ms": 1,
        "server CPU %": 0,
        "Postgres CPU %": 0,
        "fleet CPU %": 0,
        "rows/s": 0,
        "dropped or lost": 0,
        "server MB": 0
      },
      reference: "1 process",
      contestants: services.map(({ fleet, sample }, index) => ({
        name: counts[index] === 1 ? "1 process" : `${counts[index]} workers`,
        round: Effect.gen(function* () {
          const before = yield* sample
          const outcome = yield* fleet.press(duration)
          const after = yield* sample
          const used = Service.between(before, after)
          const percent = (millis: number) => (millis * 100) / used.millis
          const updates = outcome.reports * Workload.keysPerAgent
          return {
            "updates/s": (updates * 1_000) / outcome.millis,
            "updates/s per core": (updates * 1_000) / used.serverCpu,
            "answer p99 ms": outcome.quantile(0.99),
            "server CPU %": percent(used.serverCpu),
            "Postgres CPU %": percent(used.postgresCpu),
            "fleet CPU %": percent(used.fleetCpu),
            "rows/s": (used.written * 1_000) / used.millis,
            "dropped or lost": used.dropped + used.lost,
            "server MB": after.serverBytes / 1e6
          }
        })
      }))
    })
  ]
})

export const workers: Table.Part = {
  name: "workers",
  description: "the service as several processes",
  tables: (scale) =>
    Effect.flatMap(Layer.build(Service.layer), (services) => Effect.provideContext(tables(scale), services))
}

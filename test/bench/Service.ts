/** The service in a process of its own, over a Postgres of this run, with agents, and the figures of both. */
import { Data, Deferred, Duration, Effect, Layer, Record, Redacted, Schema, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { ChildProcess } from "effect/process"
import { SqlClient } from "effect/sql"
import * as Crypto from "node:crypto"
import * as Path from "node:path"
import * as SimulatedFleet from "../../src/fleet/Fleet.ts"
import { EmbeddedPostgres } from "../../src/postgres/EmbeddedPostgres.ts"
import * as Fleet from "./Fleet.ts"
import * as Postgres from "./Postgres.ts"
import * as Processes from "./Processes.ts"
import * as Workload from "./Workload.ts"

class ServiceEnded extends Data.TaggedError("ServiceEnded")<{}> {
  override get message() {
    return "the service ended before it was ready"
  }
}

/** The line that a process prints when it is ready, with its address; and that of its probe before it, if it has one. */
const ready = /^ready at (\S+)/
const probe = /^probe at (\S+)/

/** Runs `metadata-batcher serve` from a file, and returns when it is ready. It ends with the scope. */
export const serve = Effect.fnUntraced(function* (main: string, env: Readonly<Record<string, string | undefined>>) {
  const child = yield* ChildProcess.make(process.execPath, [main, "serve"], {
    env: { PORT: "0", LOG_LEVEL: "warn", ...env },
    extendEnv: true,
    stderr: "inherit"
  })
  const url = yield* Deferred.make<string, ServiceEnded>()
  let probeUrl: string | undefined
  yield* child.stdout.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runForEach((line) => {
      probeUrl ??= probe.exec(line)?.[1]
      const [, address] = ready.exec(line) ?? []
      return address === undefined ? Effect.void : Deferred.succeed(url, address)
    }),
    Effect.ensuring(Deferred.fail(url, new ServiceEnded())),
    Effect.forkScoped
  )
  return {
    url: yield* Deferred.await(url),
    probeUrl,
    pid: child.pid,
    end: Effect.andThen(child.kill(), child.exitCode)
  }
})

/** The administrator's: the same for all services of this run, which may share a database. */
const token = Crypto.randomBytes(32).toString("base64url")

/** The figures that a probe takes: times in milliseconds. */
const Probed = Schema.Struct({
  longestTurn: Schema.Number,
  turnP99: Schema.Number,
  longestCollection: Schema.Number,
  heapBytes: Schema.Number
})

export type Probed = typeof Probed.Type

/** The environment of a service of one process that measures its own event loop. */
export const withProbe = { NODE_OPTIONS: `--import=${Path.resolve(import.meta.dirname, "Probe.ts")}` }

/** The service and a fleet of so many agents, each of which reports all its keys. */
export const start = Effect.fnUntraced(function* (
  agentCount: number,
  flushInterval: string,
  env: Readonly<Record<string, string>> = {}
) {
  const postgres = yield* EmbeddedPostgres
  const sql = yield* SqlClient.SqlClient
  const client = yield* HttpClient.HttpClient
  const name = Crypto.randomUUID()
  const { pid, probeUrl, url } = yield* serve(Path.resolve(import.meta.dirname, "../../src/main.ts"), {
    DATABASE_URL: Redacted.value(postgres.url),
    ADMIN_TOKEN: token,
    METADATA_FLUSH_INTERVAL: flushInterval,
    ...env
  })
  const members = yield* SimulatedFleet.provision({
    url,
    token: Redacted.make(token),
    workspace: name,
    owner: name,
    count: agentCount,
    keys: Workload.keys,
    interval: Duration.seconds(10)
  })
  const fleet = yield* Fleet.connect(
    url,
    members.map(({ id, token }) => ({ token: Redacted.value(token), report: Workload.fullReport(id) }))
  )

  /** All there is to know of this moment; counts and times are those since the start. */
  const sample = Effect.gen(function* () {
    const text = yield* Effect.flatMap(client.get(`${url}/metrics`), (response) => response.text)
    const [statistics] = yield* sql<{ committed: number }>`
      SELECT xact_commit::float8 AS committed FROM pg_stat_database WHERE datname = current_database()`
    const { system, user } = process.cpuUsage()
    const sum = (name: string) =>
      [...text.matchAll(new RegExp(`^${name}(?:{.*})? (\\S+)$`, "gm"))].reduce(
        (sum, [, value]) => sum + Number(value),
        0
      )
    return {
      millis: performance.now(),
      serverCpu: Processes.familyCpuMillis(pid) ?? Number.NaN,
      postgresCpu: Processes.treeCpuMillis(postgres.pid) ?? Number.NaN,
      fleetCpu: (system + user) / 1_000,
      serverBytes: Processes.familyResidentBytes(pid) ?? Number.NaN,
      written: sum("coderd_agentapi_metadata_flushed_total"),
      replaced: sum("coderd_agentapi_metadata_merged_keys_total"),
      updates: sum("coderd_agentapi_metadata_batches_total"),
      notifies: sum("coder_pubsub_publishes_total"),
      statements: statistics!.committed,
      dropped: sum("coderd_agentapi_metadata_dropped_keys_total"),
      lost: sum("coderd_agentapi_metadata_lost_keys_total")
    }
  })

  /** The figures of the service's event loop and heap since this was last asked; it needs {@link withProbe}. */
  const takeProbe = Effect.flatMap(client.get(probeUrl ?? ""), HttpClientResponse.schemaBodyJson(Probed))
  return { url, token, members, fleet, sample, takeProbe }
}, Effect.provide(FetchHttpClient.layer))

export type Sample = Effect.Success<Effect.Success<ReturnType<typeof start>>["sample"]>

/** The difference between two samples. */
export const between = (before: Sample, after: Sample): Sample =>
  Record.map(after, (value, name) => value - before[name])

/** The needs of `start`. */
export const layer = Layer.provideMerge(Postgres.layerClient, Postgres.layerServer)

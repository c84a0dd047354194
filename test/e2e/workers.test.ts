/** The service as several processes: its workers share the load, and end as one. */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Redacted, Schema } from "effect"
import * as Net from "node:net"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Token from "../../src/access/Token.ts"
import * as Overview from "../../src/operations/Overview.ts"
import { settle } from "../faults/World.ts"
import * as Agent from "../support/agent.ts"
import { childrenOf, socketsOf } from "../support/children.ts"
import * as Client from "../support/client.ts"
import { dataFolder, programAt } from "../support/folder.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Prometheus from "../support/prometheus.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

const adminToken = "an administrator's token"

/** A service of several workers, which writes when it stops and not before. */
const serve = Effect.fnUntraced(function* (workers: number, env: Readonly<Record<string, string>> = {}) {
  const service = yield* ServiceProcess.start(["serve", "--port", "0", "--workers", String(workers)], {
    ADMIN_TOKEN: adminToken,
    METADATA_FLUSH_INTERVAL: "1 hour",
    ...env
  })
  const [, url = ""] = yield* service.line(/^ready at (\S+)/)
  return { service, url, workers: childrenOf(service.pid) }
})

/** The same on the database of the test. */
const serveHere = Effect.fnUntraced(function* (workers: number, env?: Readonly<Record<string, string>>) {
  const { url } = yield* Postgres.TestDatabase
  return yield* serve(workers, { DATABASE_URL: Redacted.value(url), ...env })
})

/** Agents that have connected, and have reported one value each. */
const reporting = Effect.fnUntraced(function* (url: string, count: number) {
  const created = yield* Client.agents(url, adminToken, count, ["cpu"])
  return yield* Effect.forEach(created, ({ token }) =>
    Effect.gen(function* () {
      const connection = yield* Agent.connect(url, { [Token.header]: token })
      const answer = yield* Agent.exchange(connection, Agent.report("1", Agent.sample("cpu", "its value")))
      assert.deepStrictEqual(answer, Agent.accepted("1"))
      return { ...connection, token }
    })
  )
})

const metricsOf = (url: string) =>
  Effect.map(
    Effect.promise(async () => (await fetch(`${url}/metrics`)).text()),
    (text) => {
      const families = Prometheus.parse(text)
      return (name: string) => families.get(name)?.samples ?? []
    }
  )

const connectedIn = (samples: Effect.Success<ReturnType<typeof metricsOf>>) =>
  samples("coderd_agentapi_connected_agents")[0]!.value

/** Makes a request over a connection of its own, and returns when that has ended. */
const ended = (url: string) =>
  Effect.callback<void>((resume) => {
    const { hostname, port } = new URL(url)
    const socket = Net.connect(Number(port), hostname, () => {
      socket.write(`GET /healthz HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`)
    })
    socket.on("error", () => {})
    socket.once("close", () => resume(Effect.void))
    socket.resume()
    return Effect.sync(() => socket.destroy())
  })

/** The overview that the status command and the dashboard show. */
const overviewOf = (url: string) =>
  Effect.promise(async () => {
    const response = await fetch(`${url}/api/v2/dashboard/overview`, { headers: { [Token.header]: adminToken } })
    return response.json()
  }).pipe(Effect.flatMap(Schema.decodeUnknownEffect(Overview.Overview)))

const written = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ count: number }>`
    SELECT count(*)::int AS count FROM workspace_agent_metadata WHERE value = 'its value'`
  return row!.count
})

describe("a service of several workers", () => {
  it.live(
    "spreads connections, shows the sums, replaces a killed worker, and writes all at its end [WK-08, WK-09, WK-14]",
    () =>
      Effect.gen(function* () {
        const { service, url, workers } = yield* serveHere(4)
        assert.lengthOf(workers, 4)
        const before = workers.map(socketsOf)
        const agents = yield* reporting(url, 40)
        const closed = yield* Queue.unbounded<(typeof agents)[number]>()
        for (const agent of agents) {
          yield* Effect.forkScoped(Effect.andThen(agent.closed, Queue.offer(closed, agent)))
        }
        const added = workers.map((pid, index) => socketsOf(pid) - before[index]!)
        for (const sockets of added) assert.isAtLeast(sockets, 5, String(added))

        // each page may come from another worker
        for (let page = 0; page < 4; page++) {
          const samples = yield* metricsOf(url)
          const [accepted] = samples("coderd_agentapi_metadata_accepted_keys_total")
          assert.deepStrictEqual([accepted!.value, connectedIn(samples)], [40, 40])
          assert.deepStrictEqual(
            new Set(samples("process_resident_memory_bytes").map(({ labels }) => labels["worker"])),
            new Set(["primary", "1", "2", "3", "4"])
          )
        }
        const overview = yield* settle(overviewOf(url), ({ totals }) => totals.updates === 40)
        assert.deepStrictEqual([overview.point.agents, overview.totals.updates, overview.point.pending], [40, 40, 40])

        process.kill(workers[1]!, "SIGKILL")
        // some of them are on their way to the worker
        yield* Effect.all(
          Array.from({ length: 12 }, () => ended(url)),
          { concurrency: "unbounded" }
        )
        yield* service.line(/worker ended/)
        // the kernel ends the connections of a killed process
        const connected = Effect.map(metricsOf(url), (samples) => connectedIn(samples))
        const [gone] = yield* settle(
          Effect.all([Queue.size(closed), Effect.catchDefect(connected, () => Effect.succeed(Number.NaN))]),
          ([gone, connected]) => gone + connected === 40
        )
        assert.isAtLeast(gone, 5)
        assert.isAtMost(gone, 20)
        for (let count = 0; count < gone; count++) {
          const { token } = yield* Queue.take(closed)
          yield* Agent.connect(url, { [Token.header]: token })
        }
        assert.strictEqual(yield* Queue.size(closed), 0)

        yield* service.kill("SIGTERM")
        assert.strictEqual(yield* service.exit, 0)
        assert.include(service.output(), `stopped: ${40 - gone} pending entries written, ${gone} lost`)
        assert.strictEqual(yield* written, 40 - gone)
      }).pipe(Effect.provide(Postgres.layer))
  )

  it.live("ends calmly when Ctrl-C reaches all of its processes, its embedded database last [WK-09]", () =>
    Effect.gen(function* () {
      const { service, url } = yield* serve(2, { DATA_DIR: yield* dataFolder })
      yield* reporting(url, 10)

      yield* service.killAll("SIGINT")

      assert.strictEqual(yield* service.exit, 0)
      assert.include(service.output(), "stopped: 10 pending entries written, none lost")
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it.live("leaves no worker that has not written, when the primary is killed [WK-10]", () =>
    Effect.gen(function* () {
      const { service, url } = yield* serveHere(2)
      yield* reporting(url, 10)

      yield* service.kill("SIGKILL")
      // its output ends with its last process
      yield* service.exit

      assert.strictEqual(yield* written, 10)
    }).pipe(Effect.provide(Postgres.layer))
  )

  it.live("closes connections beyond its limit at once, and ends when no worker comes up any more [WK-04, WK-11]", () =>
    Effect.gen(function* () {
      const { service, url, workers } = yield* serveHere(2, { MAX_CONNECTIONS: "12" })
      const { hostname, port } = new URL(url)
      const open = Effect.acquireRelease(
        Effect.sync(() => Net.connect(Number(port), hostname)),
        (socket) => Effect.sync(() => socket.destroy())
      )
      const sockets = yield* Effect.all(Array.from({ length: 18 }, () => open))
      const closed = yield* Queue.unbounded<void>()
      for (const socket of sockets) {
        socket.on("error", () => {})
        socket.once("close", () => Queue.offerUnsafe(closed, undefined)).resume()
      }
      yield* Queue.takeN(closed, 6)

      const sql = yield* PgClient.PgClient
      yield* sql`DROP TABLE metadata_batcher_migrations CASCADE`
      for (const pid of workers) process.kill(pid, "SIGKILL")

      assert.strictEqual(yield* service.exit, 1)
      assert.include(service.output(), "none of the last 5 workers came up")
    }).pipe(Effect.provide(Postgres.layer))
  )

  it.live("starts no processes in a worker of another cluster, and says why [WK-12]", () =>
    Effect.gen(function* () {
      const program = `
        import Cluster from "node:cluster"
        const exec = ${JSON.stringify(programAt("src/main.ts"))}
        Cluster.setupPrimary({ exec, execArgv: [], args: ["serve", "--workers", "2"] })
        Cluster.fork().on("exit", (code) => console.log("exited with", code))`
      const cluster = yield* ServiceProcess.startCommand(process.execPath, ["--input-type=module", "-e", program])

      assert.strictEqual(yield* cluster.exit, 0)
      assert.include(cluster.output(), "WORKERS must be 1 in a worker of another program's cluster")
      assert.include(cluster.output(), "exited with 2")
    })
  )
})

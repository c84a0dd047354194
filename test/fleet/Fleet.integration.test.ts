/** Simulated agents against a running service. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Option, Redacted, Scope } from "effect"
import { FetchHttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { TestConsole } from "effect/testing"
import { connectedAgents } from "../../src/agentapi/AgentMetrics.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import * as Demo from "../../src/fleet/Demo.ts"
import * as Fleet from "../../src/fleet/Fleet.ts"
import * as Work from "../../src/fleet/SimulatedWork.ts"
import * as Simulation from "../../src/fleet/Simulation.ts"
import * as SimulatedAgent from "../../src/fleet/SimulatedAgent.ts"
import { exitCode } from "../../src/operations/ExitCode.ts"
import * as Administrator from "../../src/admin/Administrator.ts"
import { Directory } from "../../src/admin/Directory.ts"
import * as Server from "../../src/Server.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import { equip } from "../support/equipment.ts"
import * as Figures from "../support/figures.ts"
import { freePort } from "../support/freePort.ts"
import { samples } from "../support/metadata.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Service from "../support/service.ts"
import * as Watcher from "../support/watcher.ts"

const provision = Effect.fnUntraced(function* (
  count: number,
  options: Partial<Parameters<typeof Fleet.provision>[0]> = {}
) {
  const { url } = yield* Service.TestService
  return yield* Fleet.provision({
    url,
    token: (yield* People.user({ isAdmin: true })).token,
    workspace: "fleet",
    owner: People.newName("fleet"),
    count,
    keys: Work.keys(3),
    interval: Duration.seconds(1),
    ...options
  })
}, Effect.provide(FetchHttpClient.layer))

/** How a fleet of a test behaves: fast. */
const pace = {
  keys: Work.keys(3),
  interval: Duration.millis(100),
  jitter: 0.5,
  rampUp: Duration.millis(100)
}

layer(Service.layer, { excludeTestServices: true })("a fleet", (it) => {
  it.effect.each(SimulatedAgent.protocols)(
    "of twenty agents reports, and its figures are those of the service, in the protocol %s [WI-81]",
    (protocol) =>
      Effect.gen(function* () {
        const { metric, url } = yield* Service.TestService
        const members = yield* provision(20)
        yield* Service.noneConnected
        const acceptedBefore = metric(Metrics.acceptedKeys).count
        const { figures, until } = yield* Figures.watched

        const fleet = yield* Effect.forkScoped(Fleet.run({ ...pace, url, members, protocol }, figures))
        // each has to report: a busy machine lets some report often before others begin
        const haveAllReported = Effect.gen(function* () {
          yield* MetadataBatcher.use((batcher) => batcher.flush)
          const stored = yield* Effect.forEach(members, ({ id }) => samples(id))
          return stored.every((rows) => Object.values(rows).some(([value, error]) => `${value}${error}` !== ""))
        })
        for (let reports = 60; !(yield* haveAllReported); reports = Fleet.reports(figures) + 1) {
          yield* until((figures) => figures.connected === 20 && Fleet.reports(figures) >= reports)
        }
        assert.strictEqual(metric(connectedAgents).value, 20)
        yield* Fiber.interrupt(fleet)
        yield* Service.noneConnected
        yield* MetadataBatcher.use((batcher) => batcher.flush)

        const { connected } = figures
        const reports = Fleet.reports(figures)
        assert.deepStrictEqual([connected, Fleet.errors(figures), metric(connectedAgents).value], [0, 0, 0])
        // of each agent one more report may have been taken than it heard of
        const taken = (metric(Metrics.acceptedKeys).count - acceptedBefore) / pace.keys.length
        assert.isAtLeast(taken, reports)
        assert.isAtMost(taken, reports + members.length)
        for (const { id } of members) {
          const rows = Object.values(yield* samples(id))
          assert.lengthOf(rows, pace.keys.length)
          for (const [value, error] of rows) assert.notStrictEqual(`${value}${error}`, "")
        }
      })
  )

  it.effect("counts failures, and keeps trying with a token that is rejected", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const [member] = yield* provision(1)
      const { figures, until } = yield* Figures.watched
      const wrong = { ...member!, token: Redacted.make("nobody's") }

      const fleet = yield* Effect.forkScoped(Fleet.run({ ...pace, url, members: [wrong] }, figures))
      yield* until((figures) => Fleet.errors(figures) >= 2)
      yield* Fiber.interrupt(fleet)

      assert.deepStrictEqual([figures.connected, figures.calls.size], [0, 0])
      assert.deepStrictEqual([...figures.failures.keys()], ["connecting: SocketOpenError"])
    })
  )

  it.effect("disconnects and reconnects on request", () =>
    Effect.gen(function* () {
      const { logged, url } = yield* Service.TestService
      const [member] = yield* provision(1)
      const { figures, until } = yield* Figures.watched
      const reconnectAfter = Duration.seconds(1)

      const fleet = yield* Effect.forkScoped(Fleet.run({ ...pace, url, members: [member!], reconnectAfter }, figures))
      yield* until((figures) => Fleet.reports(figures) > 0)
      for (let time = 0; time < 3; time++) yield* logged("agent disconnected", member!.id)
      // each time it has been created, has started, has shut down and is off
      assert.isAtLeast(figures.calls.get("UpdateLifecycle")!, 3 * 4)
      yield* logged("agent connected", member!.id)
      yield* Fiber.interrupt(fleet)

      assert.strictEqual(Fleet.errors(figures), 0)
    })
  )

  it.effect("is prepared again with the same agents and new tokens", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const directory = yield* Directory
      const owner = People.newName("fleet")
      const status = ({ token }: Fleet.Member) =>
        Effect.scoped(
          Effect.match(Agent.connect(url, People.showing(token)), {
            onFailure: ({ status }) => status,
            onSuccess: () => 101
          })
        )

      const first = yield* provision(3, { owner })
      const second = yield* provision(5, { owner })
      const third = yield* provision(2, { owner })

      const ids = (members: ReadonlyArray<Fleet.Member>) => members.map(({ id }) => id)
      assert.deepStrictEqual(ids(second).slice(0, 3), ids(first))
      assert.deepStrictEqual(ids(third), ids(first).slice(0, 2))
      assert.deepStrictEqual(
        [yield* status(first[0]!), yield* status(second[0]!), yield* status(third[0]!), yield* status(second[4]!)],
        [401, 401, 101, 101]
      )
      const workspaces = (yield* directory.workspaces).filter((workspace) => workspace.owner === owner)
      assert.deepStrictEqual(
        workspaces.map(({ agents, name }) => [name, agents]),
        [["fleet", 5]]
      )
    })
  )

  it.effect("fills its gaps", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const owner = People.newName("fleet")
      const first = yield* provision(3, { owner })
      yield* SqlClient.SqlClient.use(
        (sql) => sql`UPDATE workspace_agents SET deleted = true WHERE id = ${first[1]!.id}`
      )

      yield* provision(4, { owner, keys: Work.keys(12) })

      const workspace = (yield* directory.workspaces).find((workspace) => workspace.owner === owner)!
      const agents = yield* directory.agents(workspace.id)
      assert.deepStrictEqual(
        agents.map(({ metadata, name }) => [name, metadata.length]),
        [
          ["agent-1", 3],
          ["agent-2", 12],
          ["agent-3", 3],
          ["agent-4", 12]
        ]
      )
    })
  )

  it.effect("leaves nothing behind, and shows how many calls were accepted, and how fast [LF-13]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { users, workspaces } = yield* Directory
      const before = [yield* workspaces, (yield* users).length]
      const { figures, until } = yield* Figures.watched
      const options = {
        ...pace,
        url: `${url}/`,
        token: (yield* People.user({ isAdmin: true })).token,
        agents: 3,
        keys: 2,
        metadataOnly: true,
        reconnectAfter: Option.none(),
        duration: Option.none()
      }
      const simulation = yield* Effect.forkScoped(Simulation.run(options, figures))
      yield* until((figures) => Fleet.reports(figures) > 0)
      yield* Fiber.interrupt(simulation)

      const lines = (yield* TestConsole.logLines).map(String)
      assert.strictEqual(lines[0], `preparing 3 agents with 2 keys each at ${url}`)
      assert.strictEqual(lines.at(-1), "deleted the workspace simulation-2-keys with its agents")
      assert.match(
        lines.at(-2)!,
        /^\n[1-9]\d* reports and 0 other calls accepted, 0 errors(\n {2}\d+ % accepted within [\d.]+ m?s){3}$/
      )
      // the administrator of the simulation stays
      assert.deepStrictEqual([yield* workspaces, (yield* users).length - 1], before)
    }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer]))
  )

  it.effect("makes the command line fail when calls or attempts to connect have failed, also when it is stopped", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.user({ isAdmin: true })
      const { figures, until } = yield* Figures.watched
      const options = {
        ...pace,
        url,
        token,
        agents: 1,
        keys: 4,
        metadataOnly: true,
        keep: true,
        reconnectAfter: Option.none()
      }

      const simulation = yield* Effect.forkScoped(Simulation.run({ ...options, duration: Option.none() }, figures))
      yield* until((figures) => Fleet.reports(figures) > 0)
      // another simulation takes the agent over, with a new token
      yield* Simulation.run({ ...options, duration: Option.some(Duration.millis(200)) })
      yield* until(({ failures }) => failures.has("connecting: SocketOpenError"))
      yield* Fiber.interrupt(simulation)

      assert.strictEqual(exitCode(yield* Fiber.await(simulation)), 1)
      const last = String((yield* TestConsole.logLines).at(-1))
      assert.match(last, /^\n\d+ reports and 0 other calls accepted, [1-9]\d* errors\n/)
      assert.match(last, /\n {2}[1-9]\d* × connecting: SocketOpenError(\n|$)/)
    }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer]))
  )

  it.effect("is not prepared with the token of anyone but an administrator, and says what to set", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      for (const token of [(yield* People.user()).token, Redacted.make("nobody's")]) {
        const error = yield* Simulation.run({
          ...pace,
          url,
          token,
          agents: 1,
          keys: 1,
          metadataOnly: true,
          reconnectAfter: Option.none(),
          duration: Option.none()
        }).pipe(Effect.flip)

        assert.strictEqual(
          error.message,
          `the service at ${url} refuses the token: set ADMIN_TOKEN, or --token, to an administrator's`
        )
      }
    }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer]))
  )

  it.effect(
    "can be a demonstration with apps, scripts and monitors, and a token that reads its agents alone [LF-14]",
    () =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        const other = yield* People.agent("cpu")
        yield* Administrator.ensure(undefined)

        const demo = yield* Demo.make({ url, agents: 2 })
        yield* Effect.forkScoped(demo.run)
        const { apps, monitors, scripts } = yield* Directory.use(({ agent }) => agent(demo.watched.id))
        assert.deepStrictEqual([apps.length, scripts.length, monitors.volumes.length], [2, 1, 1])
        const { next } = yield* Watcher.overEvents(demo.watched.id, People.showing(demo.token))

        assert.strictEqual((yield* next).type, "data")
        const { status } = yield* Effect.flip(Watcher.overEvents(other.id, People.showing(demo.token)))
        assert.strictEqual(status, 404)
      })
  )
})

const layerBusy = Service.layerWith({ STATS_REPORT_INTERVAL: "100 millis" })

layer(layerBusy, { excludeTestServices: true })("an agent of a fleet", (it) => {
  it.effect.each(SimulatedAgent.protocols)(
    "starts with its script, works, has user sessions, and ends them before it shuts down, in the protocol %s [WI-81]",
    (protocol) =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        const sql = yield* SqlClient.SqlClient
        const members = yield* provision(1)
        const [{ id }] = members as [Fleet.Member]
        yield* equip([id])
        const { figures, until } = yield* Figures.watched

        const fleet = yield* Effect.forkScoped(Fleet.run({ ...pace, url, members, protocol }, figures))
        yield* until(({ calls }) => calls.get("UpdateLifecycle") === 3)
        assert.strictEqual(figures.calls.get("ScriptCompleted"), 1)
        const [ready] = yield* sql`
        SELECT lifecycle_state, started_at < ready_at AS "inOrder", version, api_version, expanded_directory
        FROM workspace_agents WHERE id = ${id}`
        assert.deepStrictEqual(ready, {
          lifecycle_state: "ready",
          inOrder: true,
          version: "v2.31.0",
          api_version: "2.10",
          expanded_directory: "/home/dev/project"
        })
        yield* until(
          ({ calls }) =>
            calls.has("BatchUpdateAppHealths") &&
            calls.has("UpdateAppStatus") &&
            calls.get("BatchCreateLogs")! > Work.startupPrints.length &&
            calls.get("UpdateStats")! > 2 &&
            calls.get("ReportConnection")! >= 3 &&
            calls.get("ReportConnection")! % 2 === 1
        )
        const visits = (figures.calls.get("ReportConnection")! + 1) / 2
        yield* Fiber.interrupt(fleet)

        assert.deepStrictEqual([figures.connected, Fleet.errors(figures)], [0, 0])
        assert.strictEqual(figures.calls.get("ReportConnection"), 2 * visits)
        assert.strictEqual(figures.calls.get("UpdateLifecycle"), 5)
        const [left] = yield* sql`
        SELECT
          lifecycle_state,
          (SELECT exit_code FROM workspace_agent_script_timings JOIN workspace_agent_scripts ON id = script_id
            WHERE workspace_agent_id = agent.id) AS exit_code,
          (SELECT count(DISTINCT log_source_id)::int4 FROM workspace_agent_logs WHERE agent_id = agent.id) AS sources,
          (SELECT count(*)::int4 FROM connection_logs AS log JOIN workspace_builds AS build USING (workspace_id)
            WHERE build.id = agent.workspace_build_id AND disconnect_time IS NOT NULL) AS visits,
          (SELECT health FROM workspace_apps WHERE agent_id = agent.id) <> 'initializing' AS "healthKnown"
        FROM workspace_agents AS agent WHERE id = ${id}`
        assert.deepStrictEqual(left, { lifecycle_state: "off", exit_code: 0, sources: 2, visits, healthKnown: true })
      })
  )

  it.effect("that reports metadata alone makes no other call", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const members = yield* provision(1)
      const { figures, until } = yield* Figures.watched

      const fleet = yield* Effect.forkScoped(Fleet.run({ ...pace, url, members, metadataOnly: true }, figures))
      yield* until((figures) => Fleet.reports(figures) >= 3)
      yield* Fiber.interrupt(fleet)

      assert.deepStrictEqual([...figures.calls.keys()], ["BatchUpdateMetadata"])
    })
  )
})

layer(Postgres.layer, { excludeTestServices: true })("a fleet whose service is restarted", (it) => {
  it.effect.each(SimulatedAgent.protocols)(
    "comes back by itself and goes on reporting, in the protocol %s [WI-81]",
    (protocol) =>
      Effect.gen(function* () {
        const PORT = String(yield* freePort)
        const start = Effect.gen(function* () {
          const scope = yield* Scope.fork(yield* Effect.scope)
          const services = yield* Layer.buildWithScope(Service.layerOver(Server.layerStorage, { PORT }), scope)
          return { services, stop: Scope.close(scope, Exit.void) }
        })
        const first = yield* start
        const { url } = Context.get(first.services, Service.TestService)
        const members = yield* Effect.provideContext(provision(5), first.services)
        const { figures, until } = yield* Figures.watched
        yield* Effect.forkScoped(Fleet.run({ ...pace, url, members, protocol }, figures))
        yield* until((figures) => figures.calls.get("UpdateLifecycle") === 15 && Fleet.reports(figures) >= 10)

        yield* first.stop
        yield* until(({ connected }) => connected === 0)
        const before = Fleet.reports(figures)
        const second = yield* start
        yield* until((figures) => figures.calls.get("UpdateStartup") === 10 && Fleet.reports(figures) >= before + 10)

        // each has introduced itself again, and none has started again
        assert.deepStrictEqual([figures.connected, figures.calls.get("UpdateLifecycle")], [5, 15])
        const { metric } = Context.get(second.services, Service.TestService)
        assert.strictEqual(metric(connectedAgents).value, 5)
        assert.isAtLeast(metric(Metrics.acceptedKeys).count, 10 * pace.keys.length)
      })
  )
})

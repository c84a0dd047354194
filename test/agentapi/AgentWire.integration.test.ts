/** Agents that speak the original's protocol, over real WebSockets and a real Postgres. */
import { assert, layer } from "@effect/vitest"
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Effect, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import * as Token from "../../src/access/Token.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import {
  Agent as Api,
  ContextResource_Status,
  Lifecycle_State,
  Log_Level,
  type PushContextStateRequestSchema,
  Startup_Subsystem
} from "../../src/wire/generated/agent_pb.ts"
import { Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import { uuidToBytes } from "../../src/agentapi/wire/Conversion.ts"
import * as Proxy from "../faults/Proxy.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import { samples } from "../support/metadata.ts"
import * as Service from "../support/service.ts"
import * as Wire from "../wire/support.ts"
import * as WireAgent from "../support/wireAgent.ts"

/** An agent with these keys, connected in the original's protocol. */
const connected = Effect.fnUntraced(function* (...keys: ReadonlyArray<string>) {
  const { url } = yield* Service.TestService
  const agent = yield* People.agent(...keys)
  return { ...agent, url, ...(yield* WireAgent.connect(url, People.showing(agent.token))) }
})

layer(Service.layer, { excludeTestServices: true })("an agent of the original", (it) => {
  it.effect(
    "starts: banners, manifest, startup, lifecycle, statistics, monitors, and two streams that stay open [WI-70]",
    () =>
      Effect.gen(function* () {
        const { call, id, start } = yield* connected("cpu")
        const sql = yield* SqlClient.SqlClient

        const { announcementBanners } = yield* call(Api.method.getAnnouncementBanners, {})
        const manifest = yield* call(Api.method.getManifest, {})
        yield* call(Api.method.updateStartup, {
          startup: { version: "v2.35.1", expandedDirectory: "/home", subsystems: [Startup_Subsystem.ENVBUILDER] }
        })
        const starting = { state: Lifecycle_State.STARTING, changedAt: { seconds: 1_767_225_600n } }
        yield* call(Api.method.updateLifecycle, { lifecycle: starting })
        const { state } = yield* call(Api.method.updateLifecycle, {
          lifecycle: { ...starting, state: Lifecycle_State.READY }
        })
        const { reportInterval } = yield* call(Api.method.updateStats, {})
        const { config } = yield* call(Api.method.getResourcesMonitoringConfiguration, {})
        const maps = yield* start(Tailnet.method.streamDERPMaps, {})
        const map = yield* maps.next
        const coordination = yield* start(Tailnet.method.coordinate, { updateSelf: { node: {} } })
        yield* call(Api.method.getAnnouncementBanners, {})
        yield* coordination.send({ disconnect: {} })

        assert.deepStrictEqual(announcementBanners, [])
        assert.deepStrictEqual(manifest.agentId, uuidToBytes(id))
        assert.strictEqual(manifest.workspaceId.length, 16)
        assert.isDefined(manifest.derpMap?.homeParams)
        assert.deepInclude(manifest.metadata[0]!, { key: "cpu" })
        assert.strictEqual(manifest.metadata[0]!.interval!.seconds, 0n)
        assert.isAbove(manifest.metadata[0]!.interval!.nanos, 0)
        assert.strictEqual(state, Lifecycle_State.READY)
        assert.isAbove(Number(reportInterval!.seconds), 0)
        assert.isAbove(config!.numDatapoints, 0)
        assert.isDefined(map.homeParams)
        assert.strictEqual((yield* Effect.flip(coordination.next))._tag, "Ended")
        const [row] = yield* sql`
        SELECT version, api_version, lifecycle_state, expanded_directory FROM workspace_agents WHERE id = ${id}`
        assert.deepStrictEqual(
          { ...row },
          { version: "v2.35.1", api_version: "2.10", lifecycle_state: "ready", expanded_directory: "/home" }
        )
      })
  )

  it.effect("reports metadata that is stored, trimmed, and rejected as in the contract [WI-71]", () =>
    Effect.gen(function* () {
      const { call, id } = yield* connected("cpu", "mem")

      yield* call(Api.method.batchUpdateMetadata, {
        metadata: [
          { key: "cpu", result: { value: " 12 %\n", age: 1n, collectedAt: { seconds: 1n } } },
          { key: "mem", result: { value: "", error: "exit status 1" } }
        ]
      })
      const error = yield* Effect.flip(
        call(Api.method.batchUpdateMetadata, {
          metadata: Array.from({ length: 100 }, (_, index) => ({ key: `${index}`.repeat(100), result: { value: "x" } }))
        })
      )
      yield* MetadataBatcher.use((batcher) => batcher.flush)

      const stored = yield* samples(id)
      assert.strictEqual(stored["cpu"]![0], "12 %")
      assert.strictEqual(stored["mem"]![1], "exit status 1")
      assert.match((error as WireAgent.CallFailed).message, /^metadata: the keys of one report/)
    })
  )

  it.effect("loses no accepted report when its connection is cut, and reports over the next one [WI-82]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { flush } = yield* MetadataBatcher
      const { id, token } = yield* People.agent("first", "second")
      const proxy = yield* Proxy.make(url)
      const report = (connection: Effect.Success<ReturnType<typeof WireAgent.connect>>, key: string) =>
        connection.call(Api.method.batchUpdateMetadata, { metadata: [{ key, result: { value: key } }] })
      const connect = WireAgent.connect(new URL(proxy.url).origin, People.showing(token))

      const before = yield* connect
      yield* report(before, "first")
      assert.isAbove(yield* proxy.cut, 0)
      yield* before.closed
      assert.strictEqual((yield* Effect.flip(report(before, "second")))._tag, "Ended")
      yield* report(yield* connect, "second")
      yield* flush

      const stored = yield* samples(id)
      assert.deepStrictEqual([stored["first"]![0], stored["second"]![0]], ["first", "second"])
    })
  )

  it.effect("gets the contract's errors, and its connection goes on [WI-72]", () =>
    Effect.gen(function* () {
      const { call } = yield* connected()

      const version = yield* Effect.flip(call(Api.method.updateStartup, { startup: { version: "2.0" } }))
      const missing = yield* Effect.flip(call(Api.method.updateLifecycle, {}))
      const script = yield* Effect.flip(call(Api.method.scriptCompleted, { timing: {} }))
      const context = yield* Effect.flip(call(Api.method.pushContextState, { resources: [{}] }))
      yield* call(Api.method.getAnnouncementBanners, {})

      assert.deepInclude(version, { _tag: "CallFailed", code: 0 })
      assert.match(version.message, /startup\.version/)
      assert.match(missing.message, /lifecycle/)
      assert.match(script.message, /script_id/)
      assert.deepInclude(context, { code: 0 })
      assert.match(context.message, /resources\[0\]/)
    })
  )

  it.effect("sends its context, which its owner reads; an older snapshot is not accepted [CX-05]", () =>
    Effect.gen(function* () {
      const { call, id, owner } = yield* connected()
      const read = Effect.flatMap(
        HttpClient.get(`/api/v2/workspaceagents/${id}/context`, { headers: People.showing(owner.token) }),
        (response) => Effect.map(response.json, (body) => [response.status, body as object] as const)
      )
      const source = "/AGENTS.md"
      const status = ContextResource_Status.OK
      const snapshot = {
        version: 2n ** 62n + 1n,
        aggregateHash: Uint8Array.of(1, 2),
        resources: [
          { source, status, body: { case: "instructionFile", value: { content: Uint8Array.of(104, 105) } } },
          {
            source: "git",
            status,
            sizeBytes: 2n ** 63n,
            body: { case: "mcpServer", value: { tools: [{ name: "log", inputSchema: { type: "object" } }] } }
          }
        ]
      } satisfies MessageInitShape<typeof PushContextStateRequestSchema>

      assert.strictEqual((yield* read)[0], 404)
      const first = yield* call(Api.method.pushContextState, { ...snapshot, initial: true })
      const replayed = yield* call(Api.method.pushContextState, { version: 2n ** 62n })
      const tooNew = yield* Effect.flip(call(Api.method.pushContextState, { version: 2n ** 63n }))
      assert.match(tooNew.message, /^version: /)
      const [found, { received_at, ...stored }] = (yield* read) as readonly [number, { readonly received_at: string }]

      assert.deepStrictEqual([first.accepted, replayed.accepted, found], [true, false, 200])
      assert.match(received_at, /^20\d\d-/)
      assert.deepStrictEqual<object>(stored, {
        version: String(snapshot.version),
        aggregate_hash: "AQI=",
        snapshot_error: "",
        resources: [
          {
            source,
            content_hash: "",
            size_bytes: 0,
            status: "OK",
            error: "",
            instruction_file: { content: "aGk=" }
          },
          {
            source: "git",
            content_hash: "",
            size_bytes: Number.MAX_SAFE_INTEGER,
            status: "OK",
            error: "",
            mcp_server: {
              server_name: "",
              description: "",
              tools: [{ name: "log", description: "", input_schema: { type: "object" } }]
            }
          }
        ]
      })
    })
  )

  it.effect("has its logs stored under a source, and healths and statistics taken [WI-73, WI-83]", () =>
    Effect.gen(function* () {
      const { call, id } = yield* connected()
      const sql = yield* SqlClient.SqlClient

      const { logLimitExceeded } = yield* call(Api.method.batchCreateLogs, {
        logSourceId: new Uint8Array(16),
        logs: [{ output: "hello", level: Log_Level.WARN, createdAt: { seconds: 1n } }, { output: "no level" }]
      })
      yield* call(Api.method.batchUpdateAppHealths, {})
      yield* call(Api.method.updateStats, {
        stats: {
          connectionMedianLatencyMs: Number.NaN,
          rxBytes: 2n ** 62n,
          sessionCounts: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`type ${index}`, 1n])),
          metrics: [{ name: "odd", type: 2, value: Number.NaN }, { name: "untyped" }]
        }
      })

      assert.isFalse(logLimitExceeded)
      const rows = yield* sql`SELECT output, level FROM workspace_agent_logs WHERE agent_id = ${id} ORDER BY id`
      assert.deepStrictEqual(
        rows.map((row) => ({ ...row })),
        [
          { output: "hello", level: "warn" },
          { output: "no level", level: "info" }
        ]
      )
    })
  )

  it.effect("connects with every version that is served, and in any role; others are rejected [WI-74]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()

      const versions = ["", "?version=2.0", "?version=2.10&role=", "?role=logstream-kube&version=2.8", "?version=2.99"]
      for (const search of versions) {
        const { call } = yield* WireAgent.connect(url, People.showing(token), search)
        yield* call(Api.method.getServiceBanner, {})
      }
      for (const search of ["?version=1.0", "?version=2.100", "?version=3.0", "?version=x"]) {
        const refused = yield* Effect.flip(WireAgent.connect(url, People.showing(token), search))
        assert.strictEqual(refused.status, 400)
      }
    })
  )

  it.effect("is rejected with another subprotocol, and speaks JSON with ours [WI-75]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()

      const refused = yield* Effect.flip(Agent.connect(url, People.showing(token), { protocols: ["graphql-ws"] }))
      const connection = yield* Agent.connect(url, People.showing(token))

      assert.strictEqual(refused.status, 400)
      assert.include(refused.body, "metadata-batcher.v1")
      assert.deepStrictEqual(yield* Agent.exchange(connection, Agent.report("1")), Agent.accepted("1"))
    })
  )

  it.effect("is rejected with 403 when a page of another host opens it with a cookie [HT-11]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()
      const cookie = `${Token.parameter}=${Redacted.value(token)}`
      const own = `http://${new URL(url).host}`

      for (const origin of ["https://elsewhere.example", `${own}1`, "null"]) {
        const refused = yield* Effect.flip(WireAgent.connect(url, { cookie, origin }))
        assert.strictEqual(refused.status, 403)
        assert.strictEqual(JSON.parse(refused.body)._tag, "Forbidden")
      }
      for (const headers of [
        { cookie },
        { cookie, origin: own },
        { ...People.showing(token), origin: "https://elsewhere.example" }
      ]) {
        const { call } = yield* WireAgent.connect(url, headers)
        yield* call(Api.method.getAnnouncementBanners, {})
      }
      const invalid = yield* Effect.flip(
        WireAgent.connect(url, { cookie: `${cookie}0`, origin: "https://elsewhere.example" })
      )
      assert.strictEqual(invalid.status, 401)
    })
  )

  it.effect("is closed with 1002 when it breaks the protocol, and nobody else is [WI-76]", () =>
    Effect.gen(function* () {
      const broken = yield* connected()
      const other = yield* connected()

      yield* broken.send(Wire.bytes("ff0000000000000000000000"))

      assert.deepStrictEqual(yield* broken.closed, { code: 1002, reason: "unknown version" })
      yield* other.call(Api.method.getAnnouncementBanners, {})
    })
  )

  it.effect("makes hundreds of calls at once, and gets as many responses [WI-77]", () =>
    Effect.gen(function* () {
      const { call } = yield* connected()

      const responses = yield* Effect.all(
        Array.from({ length: 250 }, () => call(Api.method.getAnnouncementBanners, {})),
        { concurrency: "unbounded" }
      )

      assert.strictEqual(responses.length, 250)
    })
  )

  it.effect("is recorded as connected by its upgrade alone, and as gone when it leaves [WI-78]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, token } = yield* People.agent()
      const sql = yield* SqlClient.SqlClient
      const times = Effect.map(
        sql`SELECT last_connected_at, disconnected_at FROM workspace_agents WHERE id = ${id}`,
        ([row]) => row!
      )

      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* WireAgent.connect(url, People.showing(token))
          yield* Effect.repeat(times, { until: (row) => row["last_connected_at"] !== null })
        })
      )
      const gone = yield* Effect.repeat(times, { until: (row) => row["disconnected_at"] !== null })

      assert.isNotNull(gone["last_connected_at"])
      assert.isNotEmpty(Redacted.value(token))
    })
  )
})

layer(Service.layerWith({ AGENT_MAX_STREAMS: "256" }), { excludeTestServices: true })(
  "the streams of an agent",
  (it) => {
    it.effect("are as many as the setting lets them be; one more is refused, and the others stay [WI-14]", () =>
      Effect.gen(function* () {
        const { start } = yield* connected()
        const streams = yield* Effect.forEach(Array.from({ length: 256 }), () =>
          start(Tailnet.method.streamDERPMaps, {})
        )

        const surplus = yield* start(Tailnet.method.streamDERPMaps, {})

        assert.strictEqual((yield* Effect.flip(surplus.next))._tag, "Ended")
        for (const { next } of streams) assert.isDefined((yield* next).homeParams)
      })
    )
  }
)

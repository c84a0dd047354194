/** Agents of a running service, over real WebSockets and a real Postgres. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Queue, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { BatchUpdateMetadata } from "../../src/agentapi/calls/Metadata.ts"
import { connectedAgents, undeclaredKeys } from "../../src/agentapi/AgentMetrics.ts"
import { path } from "../../src/agentapi/AgentSocketApi.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import * as Token from "../../src/access/Token.ts"
import { Directory } from "../../src/admin/Directory.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import { samples } from "../support/metadata.ts"
import * as Service from "../support/service.ts"

const flush = MetadataBatcher.use((batcher) => batcher.flush)

/** The values of an agent that are in the database once everything reported so far is. */
const stored = Effect.fnUntraced(function* (id: Parameters<typeof samples>[0]) {
  yield* flush
  return Object.fromEntries(Object.entries(yield* samples(id)).map(([key, [value, error]]) => [key, [value, error]]))
})

/** A connection of an agent of its own. */
const connected = Effect.fnUntraced(function* (...keys: ReadonlyArray<string>) {
  const { url } = yield* Service.TestService
  const agent = yield* People.agent(...keys)
  return { ...agent, connection: yield* Agent.connect(url, People.showing(agent.token)) }
})

layer(Service.layer, { excludeTestServices: true })("the way in for agents", (it) => {
  it.effect("responds with 401 before any upgrade when the token is missing, wrong or somebody else's", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { owner } = yield* People.agent()
      const empty = { [Token.header]: "" }
      const wrong = People.showing(yield* Token.mint)
      const headers = [{}, empty, wrong, People.bearer(yield* Token.mint), People.showing(owner.token)]

      for (const shown of headers) {
        const { body, status } = yield* Effect.flip(Agent.connect(url, shown))
        assert.strictEqual(status, 401)
        assert.deepInclude(JSON.parse(body), { _tag: "Unauthenticated" })
      }
    })
  )

  it.effect("responds with 401 to a token that was replaced, and accepts the new one", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, token } = yield* People.agent()
      const next = yield* Token.mint
      yield* (yield* Directory).rotateToken(id, yield* Token.digest(next))

      const { status } = yield* Effect.flip(Agent.connect(url, People.showing(token)))
      assert.strictEqual(status, 401)
      yield* Agent.connect(url, People.showing(next))
    })
  )

  it.effect("takes a token in a cookie, in the address, in its header and as a bearer token alike [HT-01]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()
      const shown = Redacted.value(token)
      const places: ReadonlyArray<readonly [Readonly<Record<string, string>>, string]> = [
        [{ cookie: `other=1; ${Token.parameter}=${shown}` }, ""],
        [{}, `?${Token.parameter}=${shown}`],
        [People.showing(token), ""],
        [People.bearer(token), ""],
        [{}, `?access_token=${shown}`]
      ]

      for (const [headers, search] of places) {
        const connection = yield* Agent.connect(url, headers, { search })
        assert.deepStrictEqual(yield* Agent.exchange(connection, Agent.report("1")), Agent.accepted("1"))
      }
    })
  )

  it.effect("tells an agent that asks without a WebSocket to upgrade", () =>
    Effect.gen(function* () {
      const { token } = yield* People.agent()

      const response = yield* HttpClient.get(path, { headers: People.showing(token) })

      assert.strictEqual(response.status, 426)
      assert.strictEqual(response.headers["upgrade"], "websocket")
      assert.deepInclude(yield* response.json, { message: "agents connect by WebSocket" })
      assert.strictEqual((yield* HttpClient.get(path)).status, 401)
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("the session of an agent", (it) => {
  it.effect("is counted from the upgrade to the end of its connection", () =>
    Effect.gen(function* () {
      const { logged, metric, url } = yield* Service.TestService
      const { id, token } = yield* People.agent()
      const count = () => metric(connectedAgents).value

      yield* Service.noneConnected
      yield* Effect.flip(Agent.connect(url))
      assert.strictEqual(count(), 0)
      const first = yield* Agent.connect(url, People.showing(token))
      const second = yield* Agent.connect(url, People.showing(token))
      yield* Effect.forEach([first, second], (connection) => Agent.exchange(connection, Agent.report("1")))
      assert.strictEqual(count(), 2)

      yield* first.close
      yield* logged("agent disconnected", id)
      assert.strictEqual(count(), 1)

      second.tcp.destroy()
      yield* logged("agent disconnected", id)
      assert.strictEqual(count(), 0)
    })
  )

  it.effect("is one for each connection: two of one agent report side by side", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, token } = yield* People.agent("cpu", "disk")
      const [one, other] = [
        yield* Agent.connect(url, People.showing(token)),
        yield* Agent.connect(url, People.showing(token))
      ]

      assert.deepStrictEqual(
        yield* Agent.exchange(one, Agent.report("1", Agent.sample("cpu", "12 %"))),
        Agent.accepted("1")
      )
      yield* one.close
      assert.deepStrictEqual(
        yield* Agent.exchange(other, Agent.report("1", Agent.sample("disk", "", "no disk"))),
        Agent.accepted("1")
      )

      assert.deepStrictEqual(yield* stored(id), { cpu: ["12 %", ""], disk: ["", "no disk"] })
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("a report", (it) => {
  it.effect(
    "reaches the database trimmed, cut, and at the time of the server [MR-01, MR-02, MR-03, MR-04, MR-14]",
    () =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        const { id, token } = yield* People.agent("spaces", "long", "error", "emoji")
        const agent = yield* Agent.client(url, People.showing(token))
        const before = yield* DateTime.now

        const answer = yield* agent.BatchUpdateMetadata({
          metadata: [
            { key: "spaces", result: { value: " 1\n", error: "", collected_at: "2031-01-01T00:00:00Z", age: 7 } },
            Agent.sample("long", "v".repeat(2_049)),
            Agent.sample("error", "", "e".repeat(2_049)),
            Agent.sample("emoji", `${"v".repeat(2_047)}😀`)
          ]
        })
        yield* flush
        const rows = yield* samples(id)

        assert.deepStrictEqual(answer, {})
        assert.deepStrictEqual(
          Object.entries(rows)
            .map(([key, [value, error]]) => [key, String(value).length, String(error).slice(0, 18)])
            .sort(),
          [
            ["emoji", 2_047, "value of 2051 byte"],
            ["error", 0, "error of 2049 byte"],
            ["long", 2_048, "value of 2049 byte"],
            ["spaces", 1, ""]
          ]
        )
        const [, , collectedAt] = rows["spaces"]!
        assert.isTrue(
          DateTime.isDateTime(collectedAt) &&
            DateTime.between(collectedAt, { minimum: before, maximum: yield* DateTime.now })
        )
      })
  )

  it.effect(
    "fails with the total and the limit when its keys are too long, and what came before is kept [MR-07, MR-08]",
    () =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        const { id, token } = yield* People.agent("first", "after")
        const agent = yield* Agent.client(url, People.showing(token))

        const error = yield* Effect.flip(
          agent.BatchUpdateMetadata({
            metadata: [Agent.sample("first", "1"), Agent.sample("k".repeat(6_140)), Agent.sample("after", "2")]
          })
        )

        assert.deepInclude(error, { _tag: "MetadataKeysTooLong", keyBytes: 6_145, limit: 6_144 })
        assert.deepStrictEqual(yield* stored(id), { first: ["1", ""], after: ["", ""] })
      })
  )

  it.effect("is accepted without its optional fields, and with unknown ones [MR-10, MR-13]", () =>
    Effect.gen(function* () {
      const { connection, id } = yield* connected("cpu")
      const call = (id: string, payload: unknown) =>
        Agent.exchange(connection, JSON.stringify({ _tag: "Request", id, tag: BatchUpdateMetadata._tag, payload }))

      for (const [index, payload] of [
        {},
        { metadata: [] },
        { metadata: [{ key: "cpu" }] },
        { metadata: [{}] },
        { metadata: [{ key: "cpu", result: { value: "1" }, from: "the future" }], version: 3 }
      ].entries()) {
        assert.deepStrictEqual(yield* call(String(index), payload), Agent.accepted(String(index)))
      }
      assert.deepStrictEqual(yield* stored(id), { cpu: ["1", ""] })
    })
  )

  it.effect("is rejected with a short message, however long its fields are", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const connection = yield* Agent.connect(url, People.showing((yield* People.agent()).token))
      const payload = { stats: { session_counts: { ["x".repeat(100_000)]: "y".repeat(100_000) } } }

      const frame = JSON.stringify({ _tag: "Request", id: "1", tag: "UpdateStats", payload, headers: [] })
      const { field, problem } = Agent.refusal(yield* Agent.exchange(connection, frame))

      assert.isTrue(field.startsWith("stats.session_counts.xxx"), field)
      assert.isAtMost(Math.max(field.length, problem.length), 300)
    })
  )

  it.effect("is rejected with the name of the field that is wrong", () =>
    Effect.gen(function* () {
      const { connection } = yield* connected()
      const wrong = [
        [{ metadata: "cpu" }, "metadata", "array"],
        [{ metadata: [Agent.sample("a"), { key: 5 }] }, "metadata[1].key", "string"],
        [{ metadata: [{ key: "a", result: { value: {} } }] }, "metadata[0].result.value", "string"],
        [{ metadata: [{ key: "a", result: null }] }, "metadata[0].result", "object"],
        [{ metadata: [{ key: "a", result: { age: "old" } }] }, "metadata[0].result.age", "number"],
        ["cpu", "", "object"]
      ] as const

      for (const [payload, field, expected] of wrong) {
        const frame = JSON.stringify({ _tag: "Request", id: "1", tag: BatchUpdateMetadata._tag, payload, headers: [] })
        const answer = yield* Agent.exchange(connection, frame)
        const { problem, ...error } = Agent.refusal(answer)
        assert.deepStrictEqual(error, { _tag: "InvalidRequest", field })
        assert.include(problem, `Expected ${expected}`)
      }
      assert.deepStrictEqual(yield* Agent.exchange(connection, Agent.report("2")), Agent.accepted("2"))
    })
  )
})

const defect = (defect: unknown) => ({ _tag: "Defect", defect })
const noMessage = defect({ name: "Error", message: "a message must be an object with a _tag" })

layer(Service.layer, { excludeTestServices: true })("a hostile agent", (it) => {
  it.effect("gets an error for each frame that is no call, and a response to its next call", () =>
    Effect.gen(function* () {
      const { connection } = yield* connected()
      const frames: ReadonlyArray<readonly [frame: string | Uint8Array, answer: object]> = [
        ["null", noMessage],
        ["[null]", noMessage],
        ["5", noMessage],
        ['"text"', noMessage],
        [`[${Agent.report("0")}, 5]`, noMessage],
        ['{"_tag":"Nonsense"}', defect("Unknown request tag: Nonsense")],
        ['{"_tag":"Request","id":{},"tag":"BatchUpdateMetadata"}', defect("Invalid request id: [object Object]")],
        ['{"_tag":"Request","id":"7","tag":"Nonsense"}', Agent.died("7", "Unknown request tag: Nonsense")],
        ['{"_tag":"Request","id":"7","tag":"__proto__"}', Agent.died("7", "Unknown request tag: __proto__")],
        ['{"_tag":"Request","id":"7"}', Agent.died("7", "Unknown request tag: ")]
      ]
      for (const [frame, answer] of frames) {
        assert.deepStrictEqual(yield* Agent.exchange(connection, frame), answer)
      }
      for (const broken of ['{"_tag":', "", new Uint8Array([0, 255, 254]), Uint8Array.from({ length: 999 }, () => 0)]) {
        const answer = yield* Agent.exchange(connection, broken)
        assert.deepInclude(answer, { _tag: "Defect" })
        assert.include(JSON.stringify(answer), "SyntaxError")
      }
      for (const headers of [undefined, null, 7, [5], [["a"]], { a: "b" }]) {
        const frame = JSON.stringify({ ...JSON.parse(Agent.report("8")), headers })
        assert.deepStrictEqual(yield* Agent.exchange(connection, frame), Agent.accepted("8"))
      }
      for (const idle of ["[]", '{"_tag":"Ack"}', '{"_tag":"Interrupt"}', '{"_tag":"Ack","requestId":"9"}']) {
        yield* connection.send(idle)
      }
      assert.deepStrictEqual(yield* Agent.exchange(connection, '{"_tag":"Ping"}'), { _tag: "Pong" })
    })
  )

  it.effect("has samples of keys dropped and counted that it has not declared, and the others stored [FT-08]", () =>
    Effect.gen(function* () {
      const { metric } = yield* Service.TestService
      const { connection, id } = yield* connected("cpu")
      const before = metric(undeclaredKeys).count
      const others = Array.from({ length: 1_000 }, (_, index) => Agent.sample(`k${index}`, "1"))

      const reply = yield* Agent.exchange(connection, Agent.report("1", ...others, Agent.sample("cpu", "12 %")))

      assert.deepStrictEqual(reply, Agent.accepted("1"))
      assert.strictEqual(metric(undeclaredKeys).count, before + 1_000)
      yield* Effect.repeat(stored(id), { until: ({ cpu }) => cpu?.[0] === "12 %" })
    })
  )

  it.effect("loses its connection for a frame of 20 MB; nobody else does", () =>
    Effect.gen(function* () {
      const { logged } = yield* Service.TestService
      const [hostile, other] = [yield* connected("cpu"), yield* connected("cpu")]

      yield* hostile.connection.send(Agent.report("1", Agent.sample("cpu", "v".repeat(20_000_000))))

      assert.strictEqual((yield* hostile.connection.closed).code, 1_009)
      const record = yield* logged("agent connection broke", hostile.id)
      assert.include(record, '"DEBUG"')
      yield* logged("agent disconnected", hostile.id)
      assert.deepStrictEqual(yield* Agent.exchange(other.connection, Agent.report("1")), Agent.accepted("1"))
      assert.deepStrictEqual(yield* stored(hostile.id), { cpu: ["", ""] })
    })
  )

  it.effect("loses its connection for what is no WebSocket frame; nobody else does", () =>
    Effect.gen(function* () {
      const { logged } = yield* Service.TestService
      const [hostile, other] = [yield* connected(), yield* connected()]

      // past the client, which would put a frame around it
      hostile.connection.tcp.write("GET / HTTP/1.1\r\n\r\n")

      assert.strictEqual((yield* hostile.connection.closed).code, 1_002)
      yield* logged("agent connection broke", hostile.id)
      assert.deepStrictEqual(yield* Agent.exchange(other.connection, Agent.report("1")), Agent.accepted("1"))
    })
  )

  it.effect("finds no value and no token in any log", () =>
    Effect.gen(function* () {
      const { logged, logs, url } = yield* Service.TestService
      const { connection, id, owner, token } = yield* connected("cpu")
      const secret = "a value that is nobody's business"

      yield* Agent.exchange(connection, Agent.report("1", Agent.sample("cpu", secret, secret)))
      yield* Agent.exchange(connection, Agent.report("2", { key: "cpu", result: { value: [secret] } }))
      yield* Agent.exchange(connection, secret)
      yield* Agent.exchange(connection, JSON.stringify({ _tag: secret }))
      yield* flush
      yield* HttpClient.get(path, { headers: People.bearer(token) })
      yield* HttpClient.get(path, { urlParams: { [Token.parameter]: secret } })
      yield* Effect.flip(Agent.connect(url, { [Token.header]: secret }))
      yield* connection.send(Agent.report("3", Agent.sample("cpu", secret.repeat(200_000))))
      yield* logged("agent disconnected", id)

      const all = logs.join("\n")
      assert.include(all, "metadata reported")
      for (const hidden of [secret, ...[token, owner.token].flatMap((one) => Object.values(People.showing(one)))]) {
        assert.notInclude(all, hidden)
      }
      assert.strictEqual(yield* Queue.size(connection.messages), 0)
    })
  )
})

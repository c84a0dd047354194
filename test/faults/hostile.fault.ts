/** Hostile clients send bytes that no agent, watcher or administrator sends. */
import { describe } from "@effect/vitest"
import { Clock, Effect, Queue } from "effect"
import * as Token from "../../src/access/Token.ts"
import { path, subprotocol } from "../../src/agentapi/AgentSocketApi.ts"
import * as Agent from "../support/agent.ts"
import * as Client from "../support/client.ts"
import * as Replica from "./Replica.ts"
import { expect, scenario } from "./scenario.ts"
import * as Wire from "./Wire.ts"
import * as World from "./World.ts"

type Problems = ReadonlyArray<string>

/** Stands in values, and must not stand in any log or answer. */
const canary = "CANARY-4711"

const is = (what: string, actual: unknown, ...expected: ReadonlyArray<unknown>): Problems =>
  expect(expected.includes(actual), `${what}: ${String(actual)} instead of ${expected.join(" or ")}`)

const upgrade = (token: string) =>
  [
    `GET ${path} HTTP/1.1`,
    "Host: here",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Protocol: ${subprotocol}`,
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    `${Token.header}: ${token}`,
    "\r\n"
  ].join("\r\n")

/** Malformed frames, and malformed surroundings of frames. */
const frames = Effect.fnUntraced(function* (url: string, token: string) {
  /** Sends bytes behind an upgrade and answers the code that the connection is closed with. */
  const closedBy = (...parts: ReadonlyArray<Uint8Array>) =>
    Effect.scoped(
      Effect.gen(function* () {
        const wire = yield* Wire.connect(url)
        yield* wire.send(upgrade(token))
        for (const part of parts) yield* wire.send(part)
        return Wire.closeCode(yield* wire.ended)
      })
    )

  const half = yield* Wire.connect(url)
  yield* half.send(upgrade(token))
  yield* half.send(Wire.frame(1, Buffer.from('{"_tag":"Req'), 200))
  yield* half.vanish

  const agent = yield* Agent.connect(url, { [Token.header]: token })
  yield* agent.send(Agent.report("1", Agent.sample("key-0", "x".repeat(5 * 1024 * 1024))))
  const { code } = yield* agent.closed
  return [
    ...is("an oversized frame", code, 1009),
    ...is("binary junk", yield* closedBy(Buffer.from("f7".repeat(64), "hex")), 1002),
    ...is("text that is not UTF-8", yield* closedBy(Wire.frame(1, Buffer.from("c328a0a1", "hex"))), 1007),
    ...is("an unmasked frame", yield* closedBy(Buffer.from("810568656c6c6f", "hex")), 1002),
    ...is("a reserved opcode", yield* closedBy(Wire.frame(7, Buffer.from("hello"))), 1002)
  ]
}, Effect.scoped)

/** Messages that are well framed and mean nothing. */
const messages = Effect.fnUntraced(function* (url: string, token: string) {
  const agent = yield* Agent.connect(url, { [Token.header]: token })
  const answer = (frame: string) =>
    Effect.timeout(Effect.andThen(agent.send(frame), Queue.take(agent.messages)), "10 seconds")
  const call = (payload: unknown, tag = "BatchUpdateMetadata") =>
    answer(JSON.stringify({ _tag: "Request", id: "1", tag, payload, headers: [] }))
  const names = (what: string, text: string, ...parts: ReadonlyArray<string>): Problems => [
    ...expect(
      parts.some((part) => text.includes(part)),
      `${what}: ${text.slice(0, 200)}`
    ),
    ...expect(text.length < 2_000, `${what}: an answer of ${text.length} characters`),
    ...expect(!text.includes(canary), `${what}: the answer repeats what was sent`)
  ]
  const many = Array.from({ length: 100_000 }, (_, index) => ({ key: `k${index}` }))
  const sample = (key: unknown, value: unknown) => ({ metadata: [{ key, result: { value, error: "" } }] })
  return [
    ...names("no JSON", yield* answer("{{{{"), "Defect"),
    ...names("JSON that is no message", yield* answer('[1, null, "x"]'), "Defect"),
    ...names("a call that there is none of", yield* call({}, "DropEverything"), "Failure", "Defect"),
    ...names("a payload of null", yield* call(null), "InvalidRequest"),
    ...names("a list that is a text", yield* call({ metadata: canary }), "InvalidRequest"),
    ...names("numbers for texts", yield* call(sample(5, 7)), "InvalidRequest"),
    ...names("an object for a text", yield* call(sample("key-0", { [canary]: canary })), "InvalidRequest"),
    ...names("100 000 keys", yield* call({ metadata: many }), "MetadataKeysTooLong"),
    ...names("a key of 10 kB", yield* call(sample("k".repeat(10_000), canary)), "MetadataKeysTooLong"),
    ...names("NUL", yield* call(sample("nul\u0000key", `${canary}\u0000`)), "Success"),
    ...names("a lone surrogate", yield* call(sample("\ud800", "\udfff")), "Success"),
    ...names("deep nesting", yield* answer("[".repeat(50_000) + "]".repeat(50_000)), "Defect")
  ]
}, Effect.scoped)

/** Tokens that are not valid any more, or not for this. */
const tokens = Effect.fnUntraced(function* (world: World.World) {
  const { fleet, replica } = world
  const [first, second] = fleet.members
  const rpc = (token: string) =>
    Agent.connect(replica.url, { [Token.header]: token }).pipe(
      Effect.match({ onFailure: ({ status }) => status, onSuccess: () => 101 }),
      Effect.scoped
    )
  const watch = (id: string, token: string) =>
    Effect.promise(async (signal) => {
      const address = `${replica.url}/api/v2/workspaceagents/${id}/metadata`
      return (await fetch(address, { headers: { [Token.header]: token }, signal })).status
    })
  const before = yield* rpc(first!.token)
  const api = yield* Client.admin(replica.url, Replica.adminToken)
  const rotated = yield* api.agents.rotateToken({ params: { agent: fleet.ids[0]! } })
  return [
    ...is("a token before it is replaced", before, 101),
    ...is("the same token afterwards", yield* rpc(first!.token), 401),
    ...is("the new token", yield* rpc(rotated.token), 101),
    ...is("an administrator's token for an agent's", yield* rpc(Replica.adminToken), 401),
    ...is("no token", yield* rpc(""), 401),
    ...is("a long token", yield* rpc("x".repeat(8_000)), 401),
    ...is("an agent's token for a reader's", yield* watch(first!.id, second!.token), 401)
  ]
})

/** Addresses that mean to lead elsewhere, and requests of any size. */
const requests = Effect.fnUntraced(function* (url: string, agentId: string) {
  const answered = Effect.fnUntraced(function* (head: string) {
    const wire = yield* Wire.connect(url)
    yield* wire.send(`${head}\r\nHost: here\r\nConnection: close\r\n${Token.header}: ${Replica.adminToken}\r\n\r\n`)
    const text = (yield* wire.ended).toString()
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]), text }
  }, Effect.scoped)
  const addresses = [
    "../../../../etc/passwd",
    `${agentId}/../${agentId}/../../users`,
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd/metadata",
    `${agentId}%00/metadata`,
    "' OR '1'='1/metadata".replaceAll(" ", "%20"),
    `${agentId}'%3B%20DROP%20TABLE%20users%3B--/metadata`,
    `${"9".repeat(4_000)}/metadata`,
    "%/metadata",
    "//metadata",
    `${agentId}/metadata%0d%0aX-Injected:%20yes`
  ]
  const problems: Array<string> = []
  for (const address of addresses) {
    const { status, text } = yield* answered(`GET /api/v2/workspaceagents/${address} HTTP/1.1`)
    problems.push(...is(address.slice(0, 60), status, 400, 404))
    problems.push(...expect(!/root:|X-Injected: yes/.test(text), `${address}: it worked`))
  }
  const flood = Array.from({ length: 4_000 }, (_, index) => `X-Flood-${index}: ${"x".repeat(20)}`).join("\r\n")
  const pipelined = yield* answered(`GET /healthz HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked`)
  return [
    ...problems,
    ...is("a flood of headers", (yield* answered(`GET /healthz HTTP/1.1\r\n${flood}`)).status, 431),
    ...is("two lengths", pipelined.status, 400),
    ...is("no HTTP", (yield* answered("\u0016\u0003\u0001hello")).status, 400),
    ...is("an unknown method", (yield* answered("BREW /healthz HTTP/1.1")).status, 400, 404)
  ]
})

/** Requests for an upgrade that arrive a byte at a time, or not at all. */
const loris = Effect.fnUntraced(function* (url: string) {
  const start = yield* Clock.currentTimeMillis
  const wires = yield* Effect.forEach(Array.from({ length: 100 }), () => Wire.connect(url))
  for (const wire of wires) yield* wire.send(`GET ${path} HTTP/1.1\r\nHost: here\r\nUpgr`)
  const answers = yield* Effect.forEach(wires, ({ ended }) => ended, { concurrency: "unbounded" })
  const elapsed = (yield* Clock.currentTimeMillis) - start
  return [
    ...is("slow requests", answers.filter((answer) => answer.toString().startsWith("HTTP/1.1 408")).length, 100),
    ...expect(elapsed < 6_000, `slow requests were let go only after ${elapsed} ms`)
  ]
}, Effect.scoped)

const injection = `'; DROP TABLE workspace_agent_metadata; -- ${canary}\n{"level":"FATAL","message":"${canary}"}`

const hostile = Effect.gen(function* () {
  const world = yield* World.make({
    agents: 6,
    replicas: [{ REQUEST_TIMEOUT: "2 seconds", LOG_LEVEL: "debug", MAX_UNAUTHENTICATED_CONNECTIONS: "200" }]
  })
  const { fleet, replica } = world
  const { token } = fleet.members[4]!
  const before = yield* replica.rss
  const problems = yield* fleet.whileReporting(
    { to: () => replica.url, every: 250, padding: ` ${injection}` },
    Effect.gen(function* () {
      const found: Array<string> = []
      for (const attack of [
        frames(replica.url, token),
        messages(replica.url, token),
        requests(replica.url, fleet.ids[1]!),
        loris(replica.url),
        tokens(world)
      ]) {
        found.push(...(yield* attack))
        found.push(...is("the health afterwards", (yield* replica.health).status, 200))
      }
      return found
    })
  )
  const grown = (yield* replica.peakRss) - before
  const outcome = World.lossless(yield* World.look(world))
  const logs = replica.output()
  const secrets = [canary, Replica.adminToken, ...fleet.members.map(({ token }) => token)]
  const { value } = (yield* world.database.rows)[0]!
  return {
    ...outcome,
    problems: [
      ...problems,
      ...outcome.problems,
      ...expect(value.endsWith(injection), `a value was stored as ${value}`),
      ...secrets.filter((secret) => logs.includes(secret)).map((secret) => `the logs contain ${secret}`),
      ...expect(grown < 300, `the process grew by ${Math.round(grown)} MiB`)
    ]
  }
})

describe("hostile input", () => {
  scenario("11 · Frames, messages, tokens, addresses and headers that mean harm", hostile)
})

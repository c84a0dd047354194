/** More than there is room for: samples beyond what the database takes, and watchers who never read. */
import { describe } from "@effect/vitest"
import { Duration, Effect, Fiber, Schedule } from "effect"
import * as Net from "node:net"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"
import type * as Database from "./Database.ts"
import * as Ledger from "./Ledger.ts"
import * as Proxy from "./Proxy.ts"
import * as Replica from "./Replica.ts"
import { and, expect, lasting, scenario, seconds } from "./scenario.ts"
import * as ValueStore from "./ValueStore.ts"
import * as World from "./World.ts"

/** A store that takes a second for each batch, until it is fast. */
const slowStore = Effect.gen(function* () {
  if (ValueStore.sharedUrl === undefined) return { settings: {}, slow: slowTable, fast: fastTable }
  const proxy = yield* Proxy.make(ValueStore.sharedUrl)
  // open connections keep their pace
  const delayAllBy = (millis: number) => Effect.andThen(proxy.delayBy(millis), proxy.cut)
  return { settings: ValueStore.settings(proxy.url), slow: () => delayAllBy(1_000), fast: () => delayAllBy(0) }
})

const slowTable = (database: Database.Database) =>
  database.using((sql) =>
    Effect.forEach(
      [
        `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$`,
        `CREATE TRIGGER slow BEFORE UPDATE ON workspace_agent_metadata FOR EACH STATEMENT EXECUTE FUNCTION slow()`
      ],
      (statement) => sql.unsafe(statement)
    )
  )

const fastTable = (database: Database.Database) =>
  database.using((sql) => sql.unsafe("DROP TRIGGER slow ON workspace_agent_metadata"))

/** How long the service takes to say that it is up, every half second; the longest of them in milliseconds. */
const healthOf = (replica: Replica.Replica) => {
  let longest = 0
  return {
    longest: () => longest,
    watching: replica.health.pipe(
      Effect.map(({ elapsed }) => (longest = Math.max(longest, Duration.toMillis(elapsed)))),
      Effect.repeat(Schedule.spaced("500 millis"))
    )
  }
}

const overload = Effect.gen(function* () {
  const store = yield* slowStore
  const world = yield* World.make({
    agents: 300,
    keys: 20,
    replicas: [{ METADATA_MAX_PENDING: "3000", ...store.settings }]
  })
  const { database, fleet, ledger, replica } = world
  yield* store.slow(database)
  const before = yield* replica.rss
  const health = healthOf(replica)
  const watching = yield* Effect.forkChild(health.watching)
  const [elapsed] = yield* Effect.timed(
    fleet.whileReporting({ to: () => replica.url, every: 800 }, lasting(seconds(30)))
  )
  const offered = ((yield* fleet.reports) * fleet.keys.length) / Duration.toSeconds(elapsed)
  yield* Fiber.interrupt(watching)
  const grown = (yield* replica.peakRss) - before

  yield* store.fast(database)
  yield* World.settle(
    Effect.map(replica.metrics, (metric) => metric("pending_keys") + metric("queue_depth")),
    (pending) => pending === 0
  )
  const compared = ledger.compare(yield* database.rows)
  const counted = yield* replica.counted

  // a calm minute's worth of reports, all of which there is room for
  yield* fleet.whileReporting({ to: () => replica.url, every: 2_500 }, lasting("8 seconds"))
  const after = yield* World.look(world)
  const dropped = (yield* replica.counted) - counted
  const outcome = Ledger.outcome(compared, counted)
  return and(
    outcome,
    after.problems,
    expect(offered > 5_000, `only ${Math.round(offered)} samples a second were offered, ten times 500 are meant`),
    expect(counted > 0, "nothing was dropped"),
    expect(outcome.lost <= counted, `${outcome.lost} lost, of which ${counted} were counted`),
    expect(grown < 300, `the process grew by ${Math.round(grown)} MiB`),
    expect(health.longest() < 1_000, `an answer that the process is up took ${Math.round(health.longest())} ms`),
    expect(after.lost === 0 && dropped === 0, `afterwards ${after.lost} were lost and ${dropped} dropped`)
  )
})

/** Four times what the database takes, of keys that all have room. */
const replacing = Effect.gen(function* () {
  const store = yield* slowStore
  const world = yield* World.make({
    agents: 400,
    keys: 20,
    replicas: [{ METADATA_MAX_BACKLOG_BATCH_SIZE: "2000", ...store.settings }]
  })
  const { database, fleet, replica } = world
  const health = healthOf(replica)
  const watching = yield* Effect.forkChild(health.watching)
  const { after, before, elapsed, unwritten } = yield* fleet.whileReporting(
    { to: () => replica.url, every: 950 },
    Effect.gen(function* () {
      // the first value of a key costs a store in Redis a second call
      const unwritten = yield* World.settle(
        Effect.map(replica.metrics, (metric) => fleet.ids.length * fleet.keys.length - metric("flushed_total")),
        (count) => count <= 0
      )
      yield* store.slow(database)
      const before = yield* replica.metrics
      const [elapsed] = yield* Effect.timed(lasting(seconds(20)))
      return { after: yield* replica.metrics, before, elapsed, unwritten }
    })
  )
  yield* Fiber.interrupt(watching)
  const perSecond = (name: string) => (after(name) - before(name)) / Duration.toSeconds(elapsed)
  const [accepted, written] = [perSecond("accepted_keys_total"), perSecond("flushed_total")]
  const unaccounted = yield* replica.unaccounted

  yield* store.fast(database)
  const outcome = World.lossless(yield* World.look(world))
  return and(
    outcome,
    expect(unwritten <= 0, `${unwritten} first values were not written before the overload`),
    expect(accepted > 3 * written, `${Math.round(accepted)} samples a second, of which ${Math.round(written)} written`),
    expect(written > 1_500, `${Math.round(written)} rows a second: 2 000 are in a batch, which takes a second`),
    expect(unaccounted === 0, `${unaccounted} accepted entries are nowhere in the figures`),
    expect(health.longest() < 1_000, `an answer that the process is up took ${Math.round(health.longest())} ms`)
  )
})

/** Somebody who asks to watch, in one way or the other, and never reads. */
const deaf = (url: string, agentId: string, index: number) => {
  const upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
  const overWebSocket = index % 2 === 1
  const lines = [
    `GET /api/v2/workspaceagents/${agentId}/watch-metadata${overWebSocket ? "-ws" : ""} HTTP/1.1`,
    "Host: here",
    `${Token.header}: ${Replica.adminToken}`,
    ...(overWebSocket ? [...upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] : []),
    "\r\n"
  ]
  return Effect.acquireRelease(
    Effect.callback<Net.Socket>((resume) => {
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => {
        socket.pause().write(lines.join("\r\n"))
        resume(Effect.succeed(socket))
      })
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
}

const deafWatchers = Effect.gen(function* () {
  const world = yield* World.make({ agents: 4, keys: 40, replicas: [{ IDLE_TIMEOUT: "15 seconds" }] })
  const { fleet, replica } = world
  const health = healthOf(replica)
  const watching = yield* Effect.forkChild(health.watching)
  const { grown, sockets } = yield* fleet.whileReporting(
    { to: () => replica.url, every: 500, padding: ` ${"x".repeat(2_000)}` },
    Effect.gen(function* () {
      yield* lasting("5 seconds")
      const before = yield* replica.rss
      const sockets = yield* Effect.forEach(Array.from({ length: 200 }), (_, index) =>
        deaf(replica.url, fleet.ids[0]!, index)
      )
      yield* lasting(seconds(45))
      return { sockets, grown: (yield* replica.peakRss) - before }
    })
  )
  yield* Fiber.interrupt(watching)
  // a closed socket notices its end when it is read
  for (const socket of sockets) socket.resume()
  const left = yield* World.settle(
    Effect.sync(() => sockets.filter((socket) => !socket.closed && !socket.readableEnded).length),
    (left) => left === 0
  )
  const outcome = World.lossless(yield* World.look(world))
  const opened = Math.max(...world.watchers.map(({ tally }) => tally.opened))
  return and(
    outcome,
    expect(grown < 400, `the process grew by ${Math.round(grown)} MiB`),
    expect(health.longest() < 1_000, `an answer that the process is up took ${Math.round(health.longest())} ms`),
    expect(left === 0, `${left} of 200 watchers who never read were not let go`),
    expect(opened === 1, "a watcher who does read had to connect anew")
  )
})

/** Calls until the service does not read any more, without ever reading an answer. */
const deafAgents = Effect.gen(function* () {
  const world = yield* World.make({
    agents: 24,
    keys: 40,
    // it is not the rate that is to save the service here, nor that pings remain unanswered
    replicas: [{ AGENT_MAX_CALL_RATE: "1000000", AGENT_PING_INTERVAL: "10 minutes" }]
  })
  const { fleet, replica } = world
  const deaf = fleet.members.slice(4)
  const health = healthOf(replica)
  const watching = yield* Effect.forkChild(health.watching)
  // the answer to which repeats the name, so that the network is soon full
  const call = JSON.stringify({ _tag: "Request", id: "1", tag: "x".repeat(20_000), payload: {}, headers: [] })
  const { grown, held } = yield* fleet.whileReporting(
    { to: () => replica.url, every: 500, only: 4 },
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      const before = yield* replica.rss
      const agents = yield* Effect.forEach(deaf, ({ token }) => Agent.connect(replica.url, { [Token.header]: token }))
      for (const { tcp } of agents) tcp.pause()
      // each goes on for as long as the service takes its calls
      const calls = agents.map(() => 0)
      yield* Effect.forEach(agents, ({ send }, index) =>
        Effect.forkScoped(Effect.forever(Effect.map(send(call), () => calls[index]!++)))
      )
      yield* lasting(seconds(30))
      const taken = [...calls]
      yield* lasting("3 seconds")
      const held = calls.filter((count, index) => count === taken[index]).length
      for (const { close, tcp } of agents) {
        tcp.resume()
        yield* Effect.forkScoped(close)
      }
      return { held, grown: (yield* replica.peakRss) - before }
    }).pipe(Effect.scoped)
  )
  yield* Fiber.interrupt(watching)
  const outcome = World.lossless(yield* World.look(world))
  return and(
    outcome,
    expect(held === deaf.length, `the service went on reading from ${deaf.length - held} of ${deaf.length} agents`),
    expect(grown < 300, `the process grew by ${Math.round(grown)} MiB`),
    expect(health.longest() < 2_000, `an answer that the process is up took ${Math.round(health.longest())} ms`)
  )
})

describe("more than there is room for", () => {
  scenario("9 · Ten times of what the database takes, for 30 s", overload)
  scenario("33 · Four times of what the database takes, of keys that have room", replacing)
  scenario("10a · 200 watchers who never read", deafWatchers)
  scenario("10b · 20 agents who call and never read the answers", deafAgents)
})

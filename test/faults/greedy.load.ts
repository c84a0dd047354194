/** Single agents that ask for more than their share, beside others. */
import { describe } from "@effect/vitest"
import { Clock, Effect, Fiber, Queue, Ref, Schedule } from "effect"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"
import { watchHealth } from "./Health.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as World from "./World.ts"

const noisy = Effect.gen(function* () {
  const world = yield* World.make({ agents: 17, replicas: [{ AGENT_MAX_CALL_RATE: "100" }] })
  const { database, fleet, ledger, replica } = world
  const { token } = fleet.members[16]!
  // four characters each, so that 1 500 of them are within the limit of a report
  const undeclared = (call: number) =>
    Array.from({ length: 1_500 }, (_, index) => ((call * 1_500 + index) % 36 ** 4).toString(36).padStart(4, "."))
  const calls = yield* Ref.make(0)
  const noise = Effect.gen(function* () {
    const agent = yield* Agent.connect(replica.url, { [Token.header]: token })
    const call = Effect.gen(function* () {
      const call = yield* Ref.updateAndGet(calls, (calls) => calls + 1)
      yield* agent.send(Agent.report(String(call), ...undeclared(call).map((key) => Agent.sample(key, "x"))))
    })
    // as many calls as the service reads, without a wait for the answers
    yield* Effect.forkChild(Effect.forever(Queue.take(agent.messages)))
    yield* Effect.repeat(call, Schedule.fixed("10 millis"))
  }).pipe(Effect.scoped)
  const behind = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    return ledger.compare(yield* database.rows, now - 5_000).missing.length
  })
  const health = watchHealth(replica)
  const watching = yield* Effect.forkChild(health.watching)
  const stale = yield* fleet.whileReporting(
    { to: () => replica.url, every: 10_000, only: 16 },
    Effect.gen(function* () {
      yield* Effect.forkChild(noise)
      yield* lasting("15 seconds")
      const seen = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.delay(behind, "1 second"))
      return Math.max(...seen)
    }).pipe(Effect.scoped)
  )
  yield* Fiber.interrupt(watching)
  const outcome = yield* World.look(world)
  return and(
    outcome,
    expect(outcome.lost === 0, `${outcome.lost} lost`),
    expect(stale === 0, `${stale} of 80 keys of other agents were stale`),
    expect((yield* Ref.get(calls)) > 1_000, `only ${yield* Ref.get(calls)} calls were made`),
    expect(health.longest() < 2_000, `/healthz took ${Math.round(health.longest())} ms`)
  )
})

const frame = Effect.gen(function* () {
  const world = yield* World.make({ agents: 10 })
  const { fleet, replica } = world
  const before = yield* replica.rss
  const health = watchHealth(replica)
  const watching = yield* Effect.forkChild(health.watching)
  const logins: Array<number> = []
  const login = Effect.gen(function* () {
    const start = yield* Clock.currentTimeMillis
    const agent = yield* Agent.connect(replica.url, { [Token.header]: fleet.members[8]!.token })
    yield* agent.send(Agent.report("1"))
    yield* Queue.take(agent.messages)
    logins.push((yield* Clock.currentTimeMillis) - start)
  }).pipe(Effect.scoped, Effect.timeout("10 seconds"), Effect.ignore)
  const calls = Array.from({ length: 40_000 }, (_, index) => ({
    _tag: "Request",
    id: String(index),
    tag: "GetManifest",
    payload: {},
    headers: []
  }))
  const grown = yield* fleet.whileReporting(
    { to: () => replica.url, every: 500, only: 8 },
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      const agent = yield* Agent.connect(replica.url, { [Token.header]: fleet.members[9]!.token })
      yield* agent.send(JSON.stringify(calls))
      yield* Effect.repeat(login, Schedule.upTo(Schedule.spaced("1 second"), { duration: "20 seconds" }))
      return (yield* replica.peakRss) - before
    }).pipe(Effect.scoped)
  )
  yield* Fiber.interrupt(watching)
  const slowest = Math.max(0, ...logins)
  return and(
    World.lossless(yield* World.look(world)),
    expect(logins.length >= 15, `only ${logins.length} logins worked`),
    expect(slowest < 1_000, `a login took ${slowest} ms`),
    expect(health.longest() < 2_000, `/healthz took ${Math.round(health.longest())} ms`),
    expect(grown < 300, `the process grew by ${Math.round(grown)} MiB`)
  )
})

describe("one agent asks for more than its share", () => {
  scenario("18 · One agent makes 100 calls a second with 1 500 undeclared keys each", noisy)
  scenario("19 · One agent puts 40 000 calls into one frame of 2.6 MB", frame)
})

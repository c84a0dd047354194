/** The service at its limits: whoever is over them is turned away or slowed down, and nobody else notices. */
import { describe } from "@effect/vitest"
import { Clock, Effect, Queue, Schedule } from "effect"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"
import { and, expect, lasting, scenario, seconds } from "./scenario.ts"
import * as Wire from "./Wire.ts"
import * as World from "./World.ts"

const limited = Effect.gen(function* () {
  const world = yield* World.make({
    agents: 12,
    replicas: [
      {
        MAX_CONNECTIONS: "60",
        MAX_UNAUTHENTICATED_CONNECTIONS: "20",
        AGENT_MAX_CALL_RATE: "20",
        REQUEST_TIMEOUT: "5 seconds"
      }
    ]
  })
  const { fleet, replica } = world
  const chatty = fleet.members[10]!
  const { answered, elapsed, turnedAway } = yield* fleet.whileReporting(
    { to: () => replica.url, every: 250, only: 10 },
    Effect.gen(function* () {
      yield* lasting("2 seconds")
      // a hundred newcomers a second, who say nothing
      yield* Effect.forkScoped(Effect.repeat(Wire.connect(replica.url), Schedule.spaced("10 millis")))
      const connection = yield* Agent.connect(replica.url, { [Token.header]: chatty.token })
      const calls = 120
      const start = yield* Clock.currentTimeMillis
      for (let call = 0; call < calls; call++) yield* connection.send(Agent.report(String(call)))
      const answers = yield* Queue.takeN(connection.messages, calls)
      const elapsed = (yield* Clock.currentTimeMillis) - start
      yield* lasting(seconds(10))
      const page = (yield* replica.get("/metrics")).text
      const [, turnedAway] =
        /^metadata_batcher_closed_connections_total\{reason="unauthenticated"\} (\d+)/m.exec(page) ?? []
      return { answered: answers.length === calls, elapsed, turnedAway: Number(turnedAway) }
    }).pipe(Effect.scoped)
  )
  const outcome = World.lossless(yield* World.look(world))
  return and(
    outcome,
    expect(answered, "an agent that calls too often was not answered"),
    expect(elapsed > 4_500, `120 calls at 20 a second took ${elapsed} ms`),
    expect(turnedAway > 100, `${turnedAway} newcomers without a token were turned away`),
    expect(
      world.watchers.every(({ tally }) => tally.opened === 1),
      "a watcher had to connect anew"
    )
  )
})

describe("limits", () => {
  scenario("12 · A flood of newcomers and a chatty agent, at the limits of the settings", limited)
})

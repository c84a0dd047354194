/** A replica stalls for less than the ping timeout and then reads what agents sent it before they moved. */
import { describe } from "@effect/vitest"
import { Effect, Queue } from "effect"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as World from "./World.ts"

const stalled = Effect.gen(function* () {
  const world = yield* World.make({ agents: 20, replicas: [{}, {}] })
  const { fleet, ledger, replicas } = world
  const [first, second] = [replicas[0]!, replicas[1]!]
  const connect = (url: string, token: string) => Agent.connect(url, { [Token.header]: token })
  const frame = (id: string) => {
    const number = ledger.next(id)
    const samples = fleet.keys.map((key) => Agent.sample(key, String(number)))
    return { number, text: Agent.report(String(number), ...samples) }
  }
  const report = Effect.fnUntraced(function* (connection: Effect.Success<ReturnType<typeof connect>>, id: string) {
    const { number, text } = frame(id)
    yield* connection.send(text)
    const answer = yield* Effect.timeout(Queue.take(connection.messages), "10 seconds")
    if (answer.includes('"Success"')) yield* ledger.accept(id, fleet.keys, number)
  })

  const old = yield* Effect.forEach(fleet.members, ({ token }) => connect(first.url, token))
  yield* Effect.forEach(fleet.members, ({ id }, index) => report(old[index]!, id))

  yield* first.kill("SIGSTOP")
  // these lie in the buffers of the network until the replica goes on
  for (const [index, { id }] of fleet.members.entries()) yield* old[index]!.send(frame(id).text)
  yield* lasting("5 seconds")
  // each key is sampled once more, over the other replica, and never again
  const moved = yield* Effect.forEach(fleet.members, ({ token }) => connect(second.url, token))
  yield* Effect.forEach(fleet.members, ({ id }, index) => report(moved[index]!, id))
  yield* lasting("15 seconds")
  yield* first.kill("SIGCONT")
  yield* lasting("5 seconds")
  const outcome = World.lossless(yield* World.look(world))

  // the replica that stalled serves agents that come back to it
  yield* fleet.whileReporting({ to: () => first.url, every: 250 }, lasting("3 seconds"))
  const after = World.lossless(yield* World.look(world))
  return and(
    outcome,
    after.problems.map((problem) => `afterwards: ${problem}`),
    expect((yield* fleet.reports) > 0, "no agent came back")
  )
})

describe("a replica that stalls", () => {
  scenario("16 · A replica is stopped for 20 s, and its agents move to another one", stalled)
})

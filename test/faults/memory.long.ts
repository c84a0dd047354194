/** Agents report values that take much memory while none of them can be written. */
import { describe } from "@effect/vitest"
import { Clock, Effect, Queue } from "effect"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"
import type * as WebSocket from "../support/webSocket.ts"
import type * as Fleet from "./Fleet.ts"
import * as Ledger from "./Ledger.ts"
import { and, expect, scenario } from "./scenario.ts"
import * as World from "./World.ts"

interface Report {
  readonly keys: ReadonlyArray<string>
  readonly value: (number: number) => string
}

/** Sends reports one after the other and enters those that are accepted into the ledger. */
const reportEach = Effect.fnUntraced(function* (
  ledger: Ledger.Ledger,
  { id }: Fleet.Member,
  { messages, send }: WebSocket.Connection,
  reports: ReadonlyArray<Report>
) {
  for (const { keys, value } of reports) {
    const number = ledger.next(id)
    yield* send(Agent.report(String(number), ...keys.map((key) => Agent.sample(key, value(number)))))
    const answer = yield* Effect.timeout(Queue.take(messages), "30 seconds")
    if (answer.includes('"Success"')) yield* ledger.accept(id, keys, number)
  }
})

/** An outage during which some agents report as much as they can, and others a few small values. */
const hoarded = Effect.fnUntraced(function* (
  hoarders: number,
  env: Readonly<Record<string, string>>,
  reports: (keys: ReadonlyArray<string>) => ReadonlyArray<Report>
) {
  const quiet = 10
  const world = yield* World.make({
    agents: quiet + hoarders,
    keys: 500,
    replicas: [{ NODE_OPTIONS: "--max-old-space-size=320", AGENT_MAX_CALL_RATE: "1000", ...env }]
  })
  const { database, fleet, ledger, replica } = world
  const few = fleet.keys.slice(0, 5)
  const connections = yield* Effect.forEach(fleet.members, ({ token }) =>
    Agent.connect(replica.url, { [Token.header]: token })
  )
  yield* database.stop("fast")
  const reporting = (members: ReadonlyArray<Fleet.Member>, reports: ReadonlyArray<Report>) =>
    Effect.forEach(members, (member) => reportEach(ledger, member, connections[member.index]!, reports), {
      concurrency: 4
    })
  const everyone = Effect.all(
    [
      reporting(fleet.members.slice(quiet), reports(fleet.keys)),
      reporting(fleet.members.slice(0, quiet), [{ keys: few, value: String }])
    ],
    { concurrency: 2 }
  )
  const survived = yield* Effect.match(everyone, { onFailure: () => false, onSuccess: () => true })
  const peak = (yield* replica.isAlive) ? yield* replica.peakRss : Infinity
  yield* database.start
  if (!survived || !(yield* replica.isAlive)) {
    return {
      accepted: 0,
      present: 0,
      lost: 0,
      counted: 0,
      problems: [`the service stopped working during the outage: ${replica.output().slice(-300)}`]
    }
  }
  yield* World.settle(replica.pending, (pending) => pending === 0, 300)
  const at = yield* Clock.currentTimeMillis
  const compared = ledger.compare(yield* database.rows, at)
  const counted = yield* replica.counted
  const others = new Set(fleet.ids.slice(0, quiet))
  const displaced = compared.missing.filter(({ agentId }) => others.has(agentId as never)).length
  const outcome = Ledger.outcome(compared, counted)
  return and(
    outcome,
    expect(displaced === 0, `${displaced} values of agents with few of them are lost`),
    expect(outcome.lost <= counted, `${outcome.lost} lost, of which ${counted} were counted`),
    expect(compared.invented === 0, `${compared.invented} rows hold values that nobody sent`),
    expect(peak < 640, `the process grew to ${Math.round(peak)} MiB`)
  )
})

const blank = " ".repeat(3_000_000)

const parents = hoarded(1, {}, (keys) =>
  keys.slice(0, 250).map((key) => ({ keys: [key], value: (number) => `${`${number} `.padEnd(16, "x")}${blank}` }))
)

const large = hoarded(260, { METADATA_MAX_PENDING: "1000000" }, (keys) => [
  { keys, value: (number) => `${number} `.padEnd(2_000, "x") }
])

describe("values that take memory", () => {
  scenario("14a · Values of 16 characters and 3 MB of spaces come in during an outage, in a heap of 320 MB", parents)
  scenario("14b · Values of 260 MB come in during an outage, in a heap of 320 MB", large)
})

/** Many agents at once. */
import { describe } from "@effect/vitest"
import { Duration, Effect, Fiber, Schedule, Stream, SubscriptionRef } from "effect"
import * as Client from "../support/client.ts"
import * as Crowd from "./Crowd.ts"
import * as Database from "./Database.ts"
import * as Proxy from "./Proxy.ts"
import * as Replica from "./Replica.ts"
import { expect, scenario } from "./scenario.ts"

/** Five thousand agents that connect again when they lose the service, as often as a real agent does. */
const returning = (latency: number, within: number) =>
  Effect.gen(function* () {
    const count = 5_000
    const database = yield* Database.make()
    const proxy = yield* Proxy.make(database.url, { latency })
    const env = {
      DATABASE_URL: proxy.url,
      NODE_OPTIONS: "--max-old-space-size=1024",
      AGENT_PING_INTERVAL: "15 seconds"
    }
    const first = yield* Replica.start({ ...env, DATABASE_URL: database.url })
    const members = []
    for (const part of [0, 1, 2, 3, 4]) {
      members.push(...(yield* agents(first.url, `part-${part}`, count / 5)))
    }

    const crowd = yield* Crowd.start({ url: first.url, tokens: members.map(({ token }) => token) })
    const reached = (count: number) =>
      SubscriptionRef.changes(crowd).pipe(
        Stream.filter(({ connected }) => connected === count),
        Stream.runHead,
        Effect.timeoutOption(count === 0 ? 20_000 : within + 20_000),
        Effect.andThen(SubscriptionRef.get(crowd))
      )
    const before = yield* reached(count)

    yield* first.kill("SIGKILL")
    yield* first.exit
    yield* reached(0)
    const second = yield* Replica.start({ ...env, PORT: new URL(first.url).port })
    const gone = yield* SubscriptionRef.get(crowd)
    const unready: Array<number> = []
    const readiness = second.get("/readyz").pipe(
      Effect.map(({ status }) => void (status !== 200 && unready.push(status))),
      Effect.repeat(Schedule.spaced("500 millis")),
      Effect.catchDefect(() => Effect.void)
    )
    const watching = yield* Effect.forkChild(readiness)
    const [elapsed, { attempts, connected: back }] = yield* Effect.timed(reached(count))
    yield* Fiber.interrupt(watching)
    const millis = Duration.toMillis(elapsed)
    const tried = attempts - gone.attempts
    const problems = [
      ...expect(before.connected === count, `${before.connected} agents were connected before the restart`),
      ...expect(back === count && millis <= within, `${back} of ${count} agents were back after ${millis} ms`),
      ...expect(tried < 2 * count, `the agents connected ${tried} times`),
      ...expect(unready.length < 4, `/readyz failed ${unready.length} times`)
    ]
    return { accepted: count, present: back, lost: count - back, counted: 0, problems }
  })

const agents = Effect.fnUntraced(function* (url: string, name: string, count: number) {
  const api = yield* Client.admin(url, Replica.adminToken)
  yield* api.users.create({ payload: { username: name, is_admin: false } })
  const workspace = yield* api.workspaces.create({ payload: { name: "dev", owner: name } })
  const metadata = [{ key: "key-0", script: "", interval: 10, timeout: 10, display_order: 0 }]
  return yield* api.agents.create({
    params: { workspace: workspace.id },
    payload: { agents: Array.from({ length: count }, (_, index) => ({ name: `agent-${index}`, metadata })) }
  })
})

describe("many at once", () => {
  scenario("17a · 5 000 agents come back after a restart", returning(0, 10_000))
  scenario("17b · 5 000 agents come back after a restart, with 100 ms to the database", returning(100, 30_000))
})

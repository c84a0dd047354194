/** The service drains: its balancer sees it, its clients move, and everything accepted is written. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Redacted } from "effect"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"
import * as Client from "../support/client.ts"
import * as Postgres from "../support/Postgres.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

const adminToken = "an administrator's token"

/** A service that drains in these times, with agents that stay connected. */
const start = Effect.fnUntraced(function* (agents: number, times: Readonly<Record<string, string>>) {
  const { url: databaseUrl } = yield* Postgres.TestDatabase
  const service = yield* ServiceProcess.start(["serve", "--port", "0"], {
    DATABASE_URL: Redacted.value(databaseUrl),
    ADMIN_TOKEN: adminToken,
    METADATA_FLUSH_INTERVAL: "1 hour",
    ...times
  })
  const [, url = ""] = yield* service.line(/^ready at (\S+)/)
  const created = yield* Client.agents(url, adminToken, agents, ["cpu"])
  const connections = yield* Effect.forEach(created, ({ token }) => Agent.connect(url, { [Token.header]: token }))
  const status = (path: string) =>
    Effect.promise(async () => {
      try {
        return (await fetch(`${url}${path}`)).status
      } catch {
        return "refused"
      }
    })
  return { service, url, created, connections, status }
})

describe("a service that drains", () => {
  it.live("goes on for DRAIN_DELAY while it is not ready, and a second signal ends the wait [RO-01, RO-02]", () =>
    Effect.gen(function* () {
      const { connections, created, service, status, url } = yield* start(2, {
        DRAIN_DELAY: "1 hour",
        DRAIN_TIME: "1 hour"
      })
      const [first, second] = connections
      assert.strictEqual(yield* status("/readyz"), 200)

      yield* service.kill("SIGTERM")
      yield* service.line(/^draining: /)
      assert.strictEqual(yield* status("/readyz"), 503)
      assert.strictEqual(yield* status("/healthz"), 200)
      const late = yield* Agent.connect(url, { [Token.header]: created[0]!.token })
      const report = Agent.report("1", Agent.sample("cpu", "the last value"))
      assert.deepStrictEqual(yield* Agent.exchange(first!, report), Agent.accepted("1"))

      yield* service.kill("SIGTERM")
      for (const { closed } of [first!, second!, late]) assert.strictEqual((yield* closed).code, 1012)
      assert.strictEqual(yield* service.exit, 0)
      assert.include(service.output(), "stopped: 1 pending entries written, none lost")
    }).pipe(Effect.provide(Postgres.layerDatabase))
  )

  it.live("accepts nobody after the delay, and closes its connections one after the other with 1012 [RO-01]", () =>
    Effect.gen(function* () {
      const { connections, service, status } = yield* start(3, { DRAIN_TIME: "3 seconds" })
      const isOpen = new Set(connections)
      const firstClosed = yield* Deferred.make<number>()
      yield* Effect.forEach(
        connections,
        (connection) =>
          Effect.flatMap(connection.closed, () => {
            isOpen.delete(connection)
            return Deferred.succeed(firstClosed, isOpen.size)
          }).pipe(Effect.forkScoped),
        { discard: true }
      )

      yield* service.kill("SIGTERM")

      assert.strictEqual(yield* Deferred.await(firstClosed), 2)
      assert.strictEqual(yield* status("/healthz"), "refused")
      for (const { closed } of connections) assert.strictEqual((yield* closed).code, 1012)
      assert.strictEqual(yield* service.exit, 0)
    }).pipe(Effect.provide(Postgres.layerDatabase))
  )
})

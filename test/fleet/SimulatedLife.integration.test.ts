/** The visitors of a simulated agent that is stopped, or whose calls fail. */
import { assert, layer } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../../src/domain/Ids.ts"
import * as SimulatedAgent from "../../src/fleet/SimulatedAgent.ts"
import type { Observer } from "../../src/fleet/SimulatedLife.ts"
import * as Work from "../../src/fleet/SimulatedWork.ts"
import * as World from "../faults/World.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"

const start = Effect.fnUntraced(function* (observer: Partial<Observer>) {
  const { url } = yield* Service.TestService
  const { id, token } = yield* People.agent()
  const fiber = yield* Effect.forkScoped(
    SimulatedAgent.run({
      url,
      token,
      keys: Work.keys(1),
      interval: Duration.millis(20),
      jitter: 0,
      observer: { onConnect: () => {}, onDisconnect: () => {}, onCall: () => {}, onError: () => {}, ...observer }
    })
  )
  return { id, fiber }
})

/** Of each visitor of an agent, whether it has left. */
const visits = (id: AgentId) =>
  SqlClient.SqlClient.use(
    (sql) => sql<{ readonly hasLeft: boolean }>`
      SELECT disconnect_time IS NOT NULL AS "hasLeft" FROM connection_logs AS log
      JOIN workspace_builds AS build USING (workspace_id)
      JOIN workspace_agents AS agent ON agent.workspace_build_id = build.id WHERE agent.id = ${id}
      ORDER BY connect_time`
  )

layer(Service.layer, { excludeTestServices: true })("a simulated agent", (it) => {
  it.effect("leaves no visitor behind when it is stopped as one has come", () =>
    Effect.gen(function* () {
      const { fiber, id } = yield* start({
        onCall: (call) => {
          if (call === "ReportConnection") fiber.interruptUnsafe()
        }
      })

      yield* Fiber.await(fiber)

      assert.deepStrictEqual(yield* visits(id), [{ hasLeft: true }])
    })
  )

  it.effect("lets a visitor leave again when the first report of that has failed", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [hasCome, hasFailed] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const { id } = yield* start({
        onCall: (call) => {
          if (call === "ReportConnection") Deferred.doneUnsafe(hasCome, Exit.void)
        },
        onError: (kind) => {
          if (kind.startsWith("ReportConnection")) Deferred.doneUnsafe(hasFailed, Exit.void)
        }
      })
      yield* Deferred.await(hasCome)
      yield* sql`ALTER TABLE connection_logs ADD CONSTRAINT stays CHECK (disconnect_time IS NULL) NOT VALID`
      yield* Deferred.await(hasFailed)
      yield* sql`ALTER TABLE connection_logs DROP CONSTRAINT stays`

      const [first] = yield* World.settle(visits(id), ([first]) => first?.hasLeft === true)
      assert.deepStrictEqual(first, { hasLeft: true })
    })
  )
})

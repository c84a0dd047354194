/** The life of a simulated agent that is stopped in the middle of something. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import * as SimulatedAgent from "../../src/fleet/SimulatedAgent.ts"
import * as Work from "../../src/fleet/SimulatedWork.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"

layer(Service.layer, { excludeTestServices: true })("a simulated agent", (it) => {
  it.effect.each([
    ["comes", 1],
    ["leaves", 2]
  ] as const)("leaves no visitor behind when it is stopped at the moment a visitor %s", ([, lastVisit]) =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const sql = yield* SqlClient.SqlClient
      const { id, token } = yield* People.agent()
      let visits = 0
      const onCall: SimulatedAgent.Observer["onCall"] = (call) => {
        if (call === "ReportConnection" && ++visits === lastVisit) agent.interruptUnsafe()
      }

      const agent: Fiber.Fiber<unknown, unknown> = yield* Effect.forkScoped(
        SimulatedAgent.run({
          url,
          token,
          keys: Work.keys(1),
          interval: Duration.millis(20),
          jitter: 0,
          observer: { onConnect: () => {}, onDisconnect: () => {}, onCall, onError: () => {} }
        })
      )
      yield* Fiber.await(agent)

      const logged = yield* sql`
        SELECT disconnect_time IS NOT NULL AS "hasLeft" FROM connection_logs AS log
        JOIN workspace_builds AS build USING (workspace_id)
        JOIN workspace_agents AS agent ON agent.workspace_build_id = build.id WHERE agent.id = ${id}`
      assert.deepStrictEqual(logged, [{ hasLeft: true }])
    })
  )
})

/** The connection that a simulated agent asks for. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Queue, Redacted } from "effect"
import * as Http from "node:http"
import { subprotocol } from "../../src/agentapi/AgentSocketApi.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import * as Fleet from "../../src/fleet/Fleet.ts"
import * as SimulatedAgent from "../../src/fleet/SimulatedAgent.ts"
import * as Work from "../../src/fleet/SimulatedWork.ts"
import { portOf } from "../support/localServer.ts"
import { newId } from "../support/seed.ts"

const pace = { keys: Work.keys(1), interval: Duration.seconds(1), jitter: 0, rampUp: Duration.zero }

describe("a simulated agent", () => {
  it.live.each(SimulatedAgent.protocols)("asks for the protocol that it is to speak: %s [WI-81]", (protocol) =>
    Effect.gen(function* () {
      const offered = yield* Queue.unbounded<string | undefined>()
      const server = Http.createServer().on("upgrade", ({ headers }, socket) => {
        Queue.offerUnsafe(offered, headers["sec-websocket-protocol"])
        socket.destroy()
      })
      const url = `http://127.0.0.1:${yield* portOf(server)}`
      const members = [{ id: newId(AgentId), token: Redacted.make("any") }]

      yield* Effect.forkScoped(Fleet.run({ ...pace, url, members, protocol }, Fleet.figures()))

      assert.strictEqual(yield* Queue.take(offered), protocol === "json" ? subprotocol : undefined)
    })
  )
})

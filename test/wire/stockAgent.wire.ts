/**
 * A stock agent, played by the Go client of `test/wire/go`, from its start over a restart of `npm start` to its end. It
 * has the variables of a stock agent.
 */
import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, Fiber } from "effect"
import * as Client from "../support/client.ts"
import { emptyFolder } from "../support/folder.ts"
import { freePort } from "../support/freePort.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"
import * as GoClient from "./goClient.ts"

const adminToken = "the token of an administrator"
const title = "a stock agent"

describe.skipIf(!GoClient.hasGo)(GoClient.hasGo ? title : `${title} (skipped: needs go)`, () => {
  it.live("starts, reports, comes back after a restart of the service, and ends", () =>
    Effect.gen(function* () {
      const environment = {
        DATA_DIR: yield* emptyFolder,
        ADMIN_TOKEN: adminToken,
        METADATA_FLUSH_INTERVAL: "100 millis",
        PORT: String(yield* freePort)
      }
      const start = Effect.gen(function* () {
        const service = yield* ServiceProcess.startCommand("npm", ["start"], environment)
        const [, url = ""] = yield* service.line(/^ready at (\S+)$/)
        return { ...service, url }
      })
      const service = yield* start
      const { url } = service
      const admin = yield* Client.admin(url, adminToken)
      yield* admin.users.create({ payload: { username: "ada", is_admin: false } })
      const workspace = yield* admin.workspaces.create({ payload: { name: "dev", owner: "ada" } })
      const [agent] = yield* admin.agents.create({
        params: { workspace: workspace.id },
        payload: {
          agents: [{ name: "main", metadata: [{ key: "cpu", script: "", interval: 1, timeout: 1, display_order: 0 }] }]
        }
      })
      const { id, token } = agent!

      const playing = yield* Effect.forkChild(
        GoClient.test(["-run", "^TestStockAgent$"], {
          CODER_AGENT_URL: url,
          CODER_AGENT_TOKEN: token,
          CONNECTIONS: "2"
        })
      )
      const { until } = yield* Client.watch(url, adminToken, id)
      yield* until("cpu", "connection 1")
      yield* service.kill("SIGTERM")
      assert.strictEqual(yield* service.exit, 0)
      const again = yield* start
      assert.strictEqual(again.url, url)

      const { output } = yield* Fiber.join(playing)
      assert.include(output, "--- PASS: TestStockAgent", output)
      const get = <A>(path: string) =>
        Effect.promise(async () => {
          const headers = { "Coder-Session-Token": adminToken }
          return (await (await fetch(`${url}/api/v2/workspaceagents/${id}${path}`, { headers })).json()) as A
        })
      assert.deepInclude(yield* get<object>(""), { lifecycle_state: "off", version: "v2.35.1" })
      const logs = yield* get<ReadonlyArray<{ readonly output: string }>>("/logs")
      assert.deepStrictEqual(
        logs.map(({ output }) => output),
        ["connection 1", "connection 2"]
      )
      yield* again.kill("SIGTERM")
      assert.strictEqual(yield* again.exit, 0)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})

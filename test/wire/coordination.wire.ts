/**
 * Two agents and a client of a user, made of the libraries of stock programs, on one replica and across two. One replica
 * runs in this process, the other one in a process of its own, which the client kills.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Replica from "../faults/Replica.ts"
import * as People from "../support/directory.ts"
import { TestDatabase } from "../support/Postgres.ts"
import * as Service from "../support/service.ts"
import * as GoClient from "./goClient.ts"

const title = "stock agents and a stock client"

describe.skipIf(!GoClient.hasGo)(GoClient.hasGo ? title : `${title} (skipped: needs go)`, () => {
  layer(Service.layer, { excludeTestServices: true })((it) => {
    for (const { args, release } of GoClient.releases) {
      it.effect(`find each other on one replica and across two, with dRPC ${release}`, () =>
        Effect.gen(function* () {
          const { url } = yield* Service.TestService
          const database = yield* TestDatabase
          const other = yield* Replica.start({ DATABASE_URL: Redacted.value(database.url) })
          const owner = yield* People.user()
          const agents = yield* People.agentsOf(owner.username, 6)

          const tested = yield* GoClient.test(["-run", "^TestPeers", ...args], {
            CODER_AGENT_URL: url,
            OTHER_SERVICE_URL: other.url,
            OTHER_SERVICE_PID: String(other.pid),
            USER_TOKEN: Redacted.value(owner.token),
            AGENT_TOKENS: agents.map(({ token }) => Redacted.value(token)).join(",")
          })

          assert.strictEqual(tested.code, 0, tested.output)
          assert.lengthOf(tested.output.match(/^--- PASS: TestPeers/gm) ?? [], 3, tested.output)
        })
      )
    }
  })
})

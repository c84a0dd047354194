/** The settings of each of several workers. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Record } from "effect"
import * as Config from "../src/Config.ts"
import { share } from "../src/ServeWorkers.ts"

const read = (environment: Readonly<Record<string, string>>) =>
  Effect.provideService(Config.read({}), ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))

/** The limits of the whole service that its workers share. */
const limitsOf = (settings: Config.Settings) => ({
  connections: settings.maxConnections,
  ofUser: settings.maxConnectionsPerUser,
  unauthenticated: settings.maxUnauthenticatedConnections,
  database: settings.databaseMaxConnections
})

describe("a worker", () => {
  it.effect("has its part of the limits of the service, rounded up, and keeps every other setting [WK-15]", () =>
    Effect.gen(function* () {
      const settings = yield* read({
        MAX_CONNECTIONS: "1000",
        MAX_CONNECTIONS_PER_USER: "10",
        MAX_UNAUTHENTICATED_CONNECTIONS: "101",
        DATABASE_MAX_CONNECTIONS: "40"
      })
      const part = share(settings, 4)

      assert.deepStrictEqual(limitsOf(part), { connections: 250, ofUser: 3, unauthenticated: 26, database: 10 })
      const differing = Record.keys(settings).filter((name) => settings[name] !== part[name])
      assert.sameMembers(differing, [
        "maxConnections",
        "maxConnectionsPerUser",
        "maxUnauthenticatedConnections",
        "databaseMaxConnections"
      ])
    })
  )

  it.effect("has three connections to the database at least, and no limit where the service has none [WK-15]", () =>
    Effect.gen(function* () {
      const { connections, database } = limitsOf(share(yield* read({ DATABASE_MAX_CONNECTIONS: "10" }), 8))

      assert.deepStrictEqual([connections, database], [undefined, 3])
    })
  )
})

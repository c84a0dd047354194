/** The start of the service as a process, over a database that fails as the test wants it. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, ConfigProvider, Effect, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { DirectoryUnavailable } from "../src/access/AccessError.ts"
import { Directory, NameTaken } from "../src/admin/Directory.ts"
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as Config from "../src/Config.ts"
import * as Serve from "../src/Serve.ts"

/** A directory that cannot be asked until a time. */
const awayUntil = (end: number) =>
  Layer.mock(Directory)({
    createUser: Effect.fnUntraced(function* () {
      if ((yield* Clock.currentTimeMillis) < end) {
        return yield* new DirectoryUnavailable({ message: "cannot create a user now" })
      }
      return yield* new NameTaken({ message: "there is a user admin already" })
    }),
    putToken: () => Effect.void
  })

/** Starts over a database that is away for so many seconds. */
const start = (seconds: number) =>
  Effect.gen(function* () {
    const given = yield* Effect.provideService(
      Config.read({ ADMIN_TOKEN: "the-token-of-the-administrator-0123456789" }),
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnvRecord({})
    )
    const directory = awayUntil((yield* Clock.currentTimeMillis) + seconds * 1_000)
    const tokens = yield* Effect.forkChild(
      Serve.makeTokens(given, Option.none()).pipe(Effect.provide([directory, NodeCrypto.layer]), Effect.exit)
    )
    yield* TestClock.adjust("40 seconds")
    return yield* Fiber.join(tokens)
  })

describe("the start of the service", () => {
  it.effect("waits for a database that goes away meanwhile, for 30 seconds [FT-73]", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* start(28))._tag, "Success")
      assert.strictEqual((yield* start(32))._tag, "Failure")
    })
  )
})

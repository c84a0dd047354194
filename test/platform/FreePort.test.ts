import { assert, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as Net from "node:net"
import * as FreePort from "../../src/platform/FreePort.ts"

/** Finds a port, always with the same draws. */
const find = (host = "127.0.0.1") => Random.withSeed(FreePort.find(host), "ports")

const listen = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer().listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

it.effect("a free port is below those of outgoing connections", () =>
  Effect.gen(function* () {
    const ports = yield* Effect.replicateEffect(FreePort.find("127.0.0.1"), 100)

    assert.isBelow(Math.max(...ports), 32_768)
    assert.isAtLeast(Math.min(...ports), 20_000)
  })
)

it.effect("a port where a server listens is not free: the next one is drawn", () =>
  Effect.gen(function* () {
    const first = yield* find()
    yield* listen(first)
    const second = yield* find()
    yield* listen(second)

    assert.notInclude([first, second], yield* find())
    assert.notStrictEqual(second, first)
  })
)

it.effect("a host of another machine has no free port", () =>
  Effect.gen(function* () {
    const { cause, message } = yield* Effect.flip(find("192.0.2.1"))

    assert.strictEqual(message, "no port of 192.0.2.1 is free")
    assert.strictEqual(cause.code, "EADDRNOTAVAIL")
  })
)

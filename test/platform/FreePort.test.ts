import { assert, it } from "@effect/vitest"
import { Effect, Random, Result } from "effect"
import * as Net from "node:net"
import * as FreePort from "../../src/platform/FreePort.ts"
import { portOf } from "../support/localServer.ts"

/** The range of the ports that are drawn. */
const [lowest, end] = [20_000, 32_768]

/** Finds a port with these draws, and says how many there were. */
const find = Effect.fnUntraced(function* (host: string, ...ports: ReadonlyArray<number>) {
  let draws = 0
  const random = yield* Random.Random
  const nextDoubleUnsafe = () => (ports[draws++]! + 0.5 - lowest) / (end - lowest)
  const result = yield* Effect.result(
    Effect.provideService(FreePort.find(host), Random.Random, { ...random, nextDoubleUnsafe })
  )
  return { result, draws }
})

it.effect("a free port is below those of outgoing connections", () =>
  Effect.gen(function* () {
    const ports = yield* Effect.replicateEffect(FreePort.find("127.0.0.1"), 100)

    assert.isBelow(Math.max(...ports), end)
    assert.isAtLeast(Math.min(...ports), lowest)
  })
)

it.effect("a port where a server listens is not free: another one is drawn", () =>
  Effect.gen(function* () {
    const [taken, free] = [yield* portOf(Net.createServer()), yield* FreePort.find("127.0.0.1")]

    const { draws, result } = yield* find("127.0.0.1", taken, taken, free)

    assert.deepStrictEqual([draws, result], [3, Result.succeed(free)])
  })
)

it.effect("a host of another machine has no free port, and one draw shows that", () =>
  Effect.gen(function* () {
    const { draws, result } = yield* find("192.0.2.1", lowest)
    const { cause, message } = yield* Effect.flip(Effect.fromResult(result))

    assert.deepStrictEqual([draws, message], [1, "no port of 192.0.2.1 is free"])
    assert.strictEqual(cause.code, "EADDRNOTAVAIL")
  })
)

import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Samples from "../../src/agent/Samples.ts"

const collect = (samples: Samples.Samples, key: string, value: string) =>
  samples.collect({ key, script: `printf ${value}`, interval: Duration.zero, timeout: Duration.seconds(60) })

/** Reports what waits, and returns each report: the values of its keys. */
const flush = Effect.fnUntraced(function* (samples: Samples.Samples) {
  const reports: Array<Record<string, string>> = []
  yield* samples.flush((found) =>
    Effect.sync(() => void reports.push(Object.fromEntries(Array.from(found, ([key, { value }]) => [key, value]))))
  )
  return reports
})

layer(NodeServices.layer, { excludeTestServices: true })("samples", (it) => {
  it.effect("are reported together, and once", () =>
    Effect.gen(function* () {
      const samples = Samples.make()
      yield* collect(samples, "cpu", "1")
      yield* collect(samples, "ram", "2")

      assert.deepStrictEqual(yield* flush(samples), [{ cpu: "1", ram: "2" }])
      assert.deepStrictEqual(yield* flush(samples), [])
    })
  )

  it.effect("wait for the next report when one fails, beneath newer ones [AG-04]", () =>
    Effect.gen(function* () {
      const samples = Samples.make()
      yield* collect(samples, "cpu", "1")
      yield* collect(samples, "ram", "2")

      const error = yield* Effect.flip(
        samples.flush(() => Effect.andThen(collect(samples, "ram", "3"), Effect.fail("broken")))
      )

      assert.strictEqual(error, "broken")
      assert.deepStrictEqual(yield* flush(samples), [{ ram: "3", cpu: "1" }])
    })
  )
})

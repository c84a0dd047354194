import { assert, describe, it } from "@effect/vitest"
import { Context, References, Tracer } from "effect"
import { isEnabled } from "../../src/domain/Tracing.ts"

describe("tracing", () => {
  it("is enabled with a tracer, unless it is switched off", () => {
    const tracer = Context.make(Tracer.Tracer, Tracer.make({ span: (options) => new Tracer.NativeSpan(options) }))
    const contexts = [Context.empty(), tracer].flatMap((context) => [
      context,
      Context.add(context, References.TracerEnabled, true),
      Context.add(context, References.TracerEnabled, false)
    ])

    assert.deepStrictEqual(contexts.map(isEnabled), [false, false, false, true, true, false])
  })
})

/** The store of the keys of resume tokens of tests, by the rules of its port. */
import { layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { EmptyStores, resumeKeyStoreSuite } from "./resumeKeyStoreSuite.ts"
import { makeKeys } from "./services.ts"

layer(Layer.succeed(EmptyStores, { make: Effect.sync(makeKeys) }))(
  "the store of resume keys of tests",
  resumeKeyStoreSuite
)

/** The events for the agent of a prebuilt workspace, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Revocations from "../../src/access/Revocations.ts"
import { WorkspaceStore } from "../../src/access/WorkspaceStore.ts"
import * as PrebuildClaim from "../../src/agentapi/PrebuildClaim.ts"
import { prebuildsUserId } from "../../src/domain/Workspace.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { workspace } from "../support/identity.ts"

const prebuild = { ...workspace, ownerId: prebuildsUserId }

describe("the agent of a prebuilt workspace", () => {
  it.effect("is pinged at once and every 15 seconds, until somebody has claimed the workspace [HT-16]", () =>
    Effect.gen(function* () {
      let stored = prebuild
      const store = WorkspaceStore.of({
        workspace: () => Effect.sync(() => Option.some(stored)),
        workspaceOf: () => Effect.die("nobody asks for that")
      })
      const claimOf = yield* Effect.provideService(PrebuildClaim.make, WorkspaceStore, store)
      const events: Array<string> = []
      const reading = yield* claimOf(prebuild).pipe(
        Stream.runForEach(({ event }) => Effect.sync(() => events.push(event))),
        Effect.forkScoped
      )
      const after = (millis: number) => Effect.map(TestClock.adjust(millis), () => events.splice(0))

      assert.deepStrictEqual(yield* after(0), ["ping"])
      assert.deepStrictEqual(yield* after(14_999), [])
      assert.deepStrictEqual(yield* after(1), ["ping"])
      assert.deepStrictEqual(yield* after(15_000), ["ping"])

      stored = workspace
      yield* PubSub.PubSub.use(({ publish }) => publish(Revocations.channel, `workspace:${workspace.id}`))
      yield* Fiber.join(reading)
      assert.deepStrictEqual(yield* after(0), ["data"])
    }).pipe(Effect.provide(Layer.provideMerge(Revocations.layer, PubSub.layerMemory)))
  )
})

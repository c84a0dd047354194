import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { UserId, WorkspaceId } from "../../src/domain/Ids.ts"
import { channel, WorkspaceEvent } from "../../src/domain/WorkspaceEvent.ts"
import { layerMemory, PubSub, PubSubError } from "../../src/pubsub/PubSub.ts"
import * as WorkspaceEvents from "../../src/pubsub/WorkspaceEvents.ts"
import { agent } from "../support/metadataBatcher.ts"
import { recordSpans } from "../support/spans.ts"

const workspace = (number: number) => ({
  id: WorkspaceId.make(`00000000-0000-4000-9000-00000000000${number}`),
  ownerId: UserId.make(`00000000-0000-4000-a000-00000000000${number}`)
})

/** A pubsub that records what is published, and fails for the owner of workspace 2. */
const start = Effect.gen(function* () {
  const published: Array<readonly [channel: string, event: typeof WorkspaceEvent.Type]> = []
  const memory = yield* PubSub
  const publish = yield* Effect.provideService(WorkspaceEvents.makeCollected("1 second"), PubSub, {
    ...memory,
    publish: (channel, payload) =>
      Effect.suspend(() => {
        published.push([channel, Schema.decodeSync(WorkspaceEvent)(payload)])
        return channel.endsWith("2")
          ? Effect.fail(new PubSubError({ operation: "publish", channel, cause: "away" }))
          : Effect.void
      })
  })
  return { publish, published }
}).pipe(Effect.provide(layerMemory))

describe("WorkspaceEvents", () => {
  it.effect("go to the channel of the owner, the first at once and equal ones of an interval together", () =>
    Effect.gen(function* () {
      const { publish, published } = yield* start
      const [one, other] = [workspace(1), workspace(3)]
      const event = (workspace_id: WorkspaceId, number: number) => ({
        kind: "stats_update" as const,
        workspace_id,
        agent_id: agent(number)
      })

      yield* publish(one, agent(1), "stats_update")
      assert.deepStrictEqual(published, [[channel(one.ownerId), event(one.id, 1)]])
      const rest = yield* Effect.forkChild(
        Effect.all(
          [
            publish(one, agent(1), "stats_update"),
            publish(one, agent(2), "stats_update"),
            publish(other, agent(1), "stats_update"),
            publish(one, agent(1), "stats_update")
          ],
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("999 millis")
      assert.lengthOf(published, 1)
      yield* TestClock.adjust("1 milli")
      yield* Fiber.join(rest)

      assert.deepStrictEqual(published.slice(1), [
        [channel(one.ownerId), event(one.id, 1)],
        [channel(one.ownerId), event(one.id, 2)],
        [channel(other.ownerId), event(other.id, 1)]
      ])
    })
  )

  it.effect("have a span for those that are published together", () => {
    const { names, tracer } = recordSpans()
    return Effect.gen(function* () {
      const { publish } = yield* start
      yield* publish(workspace(1), agent(1), "stats_update")

      assert.deepStrictEqual([...names], ["WorkspaceEvents.publish"])
    }).pipe(Effect.withTracer(tracer))
  })

  it.effect("fail each for itself", () =>
    Effect.gen(function* () {
      const { publish } = yield* start
      yield* publish(workspace(1), agent(1), "stats_update")
      const both = yield* Effect.forkChild(
        Effect.all(
          [publish(workspace(1), agent(1), "stats_update"), publish(workspace(2), agent(2), "stats_update")].map(
            Effect.exit
          ),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("1 second")

      const exits = yield* Fiber.join(both)
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false])
    })
  )
})

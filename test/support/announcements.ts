/** Announcements, recorded in order beside other events. */
import { Effect, Layer, Stream } from "effect"
import * as PubSub from "../../src/pubsub/PubSub.ts"

/** Adds each announcement to `happened`, as `<kind> of <workspace> by <agent> on <channel>`. */
export const into = (happened: Array<unknown>) =>
  Layer.succeed(PubSub.PubSub, {
    publish: (channel, payload) =>
      Effect.sync(() => {
        const { agent_id, kind, workspace_id } = JSON.parse(payload)
        happened.push(`${kind} of ${workspace_id} by ${agent_id} on ${channel}`)
      }),
    subscribe: () => Stream.never
  })

/** Announces nothing. */
export const failing = Layer.succeed(PubSub.PubSub, {
  publish: (channel) =>
    Effect.fail(new PubSub.PubSubError({ operation: "publish", channel, cause: new Error("as the test wants it") })),
  subscribe: () => Stream.never
})

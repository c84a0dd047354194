/**
 * Which agents have changed, for everyone of this process who watches one.
 *
 * - One subscription serves all: it begins with the first watcher and ends with the last. A payload is gone through once,
 *   however many watch.
 * - What may have been lost counts as a change of every agent.
 * - When the subscription ends, so does whatever was watched through it; who comes later has another one.
 */
import { Deferred, Effect, Exit, RcRef, type Scope, Stream } from "effect"
import * as AgentIdChunks from "../../metadata/AgentIdChunks.ts"
import * as MetadataBatcher from "../../metadata/MetadataBatcher.ts"
import type { AgentId } from "../../domain/Ids.ts"
import * as PubSub from "../../pubsub/PubSub.ts"

interface Subscription {
  /** Who is to be told of an agent, by the id as it is in a payload. */
  readonly listeners: Map<string, Set<() => void>>
  readonly over: Deferred.Deferred<void>
}

const tellAll = ({ listeners }: Subscription): void => {
  for (const those of listeners.values()) for (const tell of those) tell()
}

const tellNamed = ({ listeners }: Subscription, payload: string): void => {
  for (let start = 0; start < payload.length; start += AgentIdChunks.encodedLength) {
    const those = listeners.get(payload.slice(start, start + AgentIdChunks.encodedLength))
    if (those !== undefined) for (const tell of those) tell()
  }
}

export const make = Effect.gen(function* () {
  const pubsub = yield* PubSub.PubSub

  const subscribe: Effect.Effect<Subscription, PubSub.PubSubError, Scope.Scope> = Effect.gen(function* () {
    const inPlace = yield* Deferred.make<void, PubSub.PubSubError>()
    const subscription: Subscription = { listeners: new Map(), over: yield* Deferred.make<void>() }
    yield* pubsub.subscribe(MetadataBatcher.channel).pipe(
      Stream.runForEach((event) => {
        if (PubSub.is("Message")(event)) tellNamed(subscription, event.payload)
        else tellAll(subscription)
        return Deferred.succeed(inPlace, undefined)
      }),
      Effect.onExit((exit) =>
        Effect.gen(function* () {
          yield* Deferred.done(inPlace, exit)
          yield* Deferred.succeed(subscription.over, undefined)
          // who comes from now on needs another one; an interruption is the end of the last watcher
          if (!Exit.hasInterrupts(exit)) yield* RcRef.invalidate(shared)
        })
      ),
      Effect.forkScoped
    )
    yield* Deferred.await(inPlace)
    return subscription
  })
  const shared = yield* RcRef.make({ acquire: subscribe })

  /** Calls `tell` for each change of an agent, until the scope closes. It is in place when this succeeds. */
  const listen = Effect.fnUntraced(function* (
    agentId: AgentId,
    tell: () => void
  ): Effect.fn.Return<{ readonly over: Effect.Effect<void> }, PubSub.PubSubError, Scope.Scope> {
    const { listeners, over } = yield* RcRef.get(shared)
    const name = AgentIdChunks.encode([agentId]).join("")
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const those = listeners.get(name) ?? new Set()
        listeners.set(name, those.add(tell))
        return those
      }),
      (those) =>
        Effect.sync(() => {
          those.delete(tell)
          if (those.size === 0) listeners.delete(name)
        })
    )
    return { over: Deferred.await(over) }
  })

  return { listen }
})

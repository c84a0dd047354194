/**
 * Which agents have changed, for everyone of this process who watches one.
 *
 * - One subscription serves all: it begins with the first watcher and ends with the last. A payload is gone through once,
 *   however many watch.
 * - What may have been lost counts as a change of every agent.
 * - When the subscription ends, so does whatever was watched through it; who comes later has another one.
 */
import { Deferred, Effect, Exit, RcRef, Result, type Scope, Stream } from "effect"
import * as AgentIdChunks from "../../metadata/AgentIdChunks.ts"
import * as MetadataStore from "../../metadata/MetadataStore.ts"
import type { AgentId } from "../../domain/Ids.ts"
import * as PubSub from "../../pubsub/PubSub.ts"

interface Subscription {
  /** The listeners of each agent. */
  readonly listeners: Map<AgentId, Set<() => void>>
  readonly over: Deferred.Deferred<void>
}

const tellAll = ({ listeners }: Subscription): void => {
  for (const those of listeners.values()) for (const tell of those) tell()
}

const tellNamed = ({ listeners }: Subscription, payload: string): void => {
  const agents = Result.getOrElse(AgentIdChunks.decode(payload), () =>
    // a damaged payload still names the agents that stand whole in it
    [...listeners.keys()].filter((agentId) => AgentIdChunks.has(payload, agentId))
  )
  for (const agentId of agents) for (const tell of listeners.get(agentId) ?? []) tell()
}

export const make = Effect.gen(function* () {
  const pubsub = yield* PubSub.PubSub

  const subscribe: Effect.Effect<Subscription, PubSub.PubSubError, Scope.Scope> = Effect.gen(function* () {
    const inPlace = yield* Deferred.make<void, PubSub.PubSubError>()
    const subscription: Subscription = { listeners: new Map(), over: yield* Deferred.make<void>() }
    yield* pubsub.subscribe(MetadataStore.channel).pipe(
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
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const those = listeners.get(agentId) ?? new Set()
        listeners.set(agentId, those.add(tell))
        return those
      }),
      (those) =>
        Effect.sync(() => {
          those.delete(tell)
          if (those.size === 0) listeners.delete(agentId)
        })
    )
    return { over: Deferred.await(over) }
  })

  return { listen }
})

/**
 * Tells the watchers of this process which agents have changed.
 *
 * - One subscription serves all watchers: it begins with the first of them and ends with the last. A payload is parsed
 *   once, however many watchers there are.
 * - A `Resync` counts as a change of every agent.
 * - When the subscription ends, the watches that use it end too; a later watcher starts a new subscription.
 */
import { Deferred, Effect, Exit, RcRef, Result, type Scope, Stream } from "effect"
import type { AgentId } from "../../domain/Ids.ts"
import * as AgentIdChunks from "../../metadata/AgentIdChunks.ts"
import * as MetadataStore from "../../metadata/MetadataStore.ts"
import * as PubSub from "../../pubsub/PubSub.ts"

type Listener = () => void

interface Subscription {
  readonly listeners: Map<AgentId, Set<Listener>>
  readonly ended: Deferred.Deferred<void>
}

const notify = (listeners: ReadonlySet<Listener> | undefined): void => {
  if (listeners !== undefined) for (const listener of listeners) listener()
}

const notifyAll = ({ listeners }: Subscription): void => listeners.forEach(notify)

const notifyNamed = ({ listeners }: Subscription, payload: string): void => {
  const agents = Result.getOrElse(AgentIdChunks.decode(payload), () =>
    // a damaged payload still names the agents whose ids are whole
    [...listeners.keys()].filter((agentId) => AgentIdChunks.has(payload, agentId))
  )
  for (const agentId of agents) notify(listeners.get(agentId))
}

export const make = Effect.gen(function* () {
  const pubsub = yield* PubSub.PubSub

  const subscribe: Effect.Effect<Subscription, PubSub.PubSubError, Scope.Scope> = Effect.gen(function* () {
    const subscribed = yield* Deferred.make<void, PubSub.PubSubError>()
    const subscription: Subscription = { listeners: new Map(), ended: yield* Deferred.make<void>() }
    yield* pubsub.subscribe(MetadataStore.channel).pipe(
      Stream.runForEach((event) => {
        if (PubSub.is("Message")(event)) notifyNamed(subscription, event.payload)
        else notifyAll(subscription)
        return Deferred.succeed(subscribed, undefined)
      }),
      Effect.onExit((exit) =>
        Effect.gen(function* () {
          yield* Deferred.done(subscribed, exit)
          yield* Deferred.succeed(subscription.ended, undefined)
          // an interruption is the end of the last watcher, after which the reference is empty anyway
          if (!Exit.hasInterrupts(exit)) yield* RcRef.invalidate(shared)
        })
      ),
      Effect.forkScoped
    )
    yield* Deferred.await(subscribed)
    return subscription
  })
  const shared = yield* RcRef.make({ acquire: subscribe })

  /** Calls `listener` for each change of an agent until the scope closes. The subscription stands when this succeeds. */
  const listen = Effect.fnUntraced(function* (
    agentId: AgentId,
    listener: Listener
  ): Effect.fn.Return<{ readonly ended: Effect.Effect<void> }, PubSub.PubSubError, Scope.Scope> {
    const { ended, listeners } = yield* RcRef.get(shared)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const ofAgent = listeners.get(agentId) ?? new Set()
        listeners.set(agentId, ofAgent.add(listener))
        return ofAgent
      }),
      (ofAgent) =>
        Effect.sync(() => {
          ofAgent.delete(listener)
          if (ofAgent.size === 0) listeners.delete(agentId)
        })
    )
    return { ended: Deferred.await(ended) }
  })

  return { listen }
})

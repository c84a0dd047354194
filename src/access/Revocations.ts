/**
 * Ends agents' connections, watches and dashboards when the right to them is gone.
 *
 * - The database announces on {@link channel} each change of a token, a user, an agent or a workspace that may take a
 *   right away. Every replica then checks the watchers of that subject at once.
 * - Every watcher is also checked once a minute, and after announcements may have been lost.
 * - A check that fails ends nothing: only a check that returns false does.
 */
import { Context, type Duration, Effect, Latch, Layer, Schedule, type Scope, Stream } from "effect"
import type { AgentId, UserId, WorkspaceId } from "../domain/Ids.ts"
import * as PubSub from "../pubsub/PubSub.ts"

/** The channel of changes. Its messages are subjects. */
export const channel = "access_changed"

export type Subject = `agent:${AgentId}` | `user:${UserId}` | `workspace:${WorkspaceId}`

/** The time between two checks of a watcher. */
export const checkInterval: Duration.Input = "1 minute"

export interface Watcher {
  /** Also checks when a right of this subject has changed. */
  readonly follow: (subject: Subject) => void
  /** Waits until a check returns false. */
  readonly revoked: Effect.Effect<void>
}

export class Revocations extends Context.Service<
  Revocations,
  {
    /** Watches a right until the scope closes. `isValid` returns whether it still holds. */
    readonly watch: (isValid: Effect.Effect<boolean, unknown>) => Effect.Effect<Watcher, never, Scope.Scope>
  }
>()("metadata-batcher/access/Revocations") {}

export const make = Effect.gen(function* () {
  const pubsub = yield* PubSub.PubSub
  const bySubject = new Map<string, Set<Latch.Latch>>()
  const all = new Set<Latch.Latch>()

  const check = (latches: Iterable<Latch.Latch> = []) =>
    Effect.sync(() => {
      for (const latch of latches) latch.openUnsafe()
    })

  yield* pubsub.subscribe(channel).pipe(
    Stream.runForEach((event) => check(PubSub.is("Message")(event) ? bySubject.get(event.payload) : all)),
    Effect.tapError((error) => Effect.logWarning("revocations not received", error)),
    Effect.retry(Schedule.spaced("1 second")),
    Effect.forkScoped
  )

  return Revocations.of({
    watch: Effect.fnUntraced(function* (isValid) {
      const latch = Latch.makeUnsafe(false)
      const followed = new Set<Subject>()
      yield* Effect.acquireRelease(
        Effect.sync(() => all.add(latch)),
        () =>
          Effect.sync(() => {
            all.delete(latch)
            for (const subject of followed) {
              const latches = bySubject.get(subject)
              latches?.delete(latch)
              if (latches?.size === 0) bySubject.delete(subject)
            }
          })
      )
      const wait = Effect.raceFirst(latch.await, Effect.sleep(checkInterval))
      const holds = Effect.orElseSucceed(isValid, () => true)
      const revoked: Effect.Effect<void> = wait.pipe(
        Effect.andThen(latch.close),
        Effect.andThen(holds),
        Effect.flatMap((holds) => (holds ? revoked : Effect.void))
      )
      return {
        follow: (subject) => {
          followed.add(subject)
          const latches = bySubject.get(subject) ?? new Set()
          bySubject.set(subject, latches.add(latch))
        },
        revoked
      }
    })
  })
})

export const layer: Layer.Layer<Revocations, never, PubSub.PubSub> = Layer.effect(Revocations, make)

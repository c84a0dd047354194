/**
 * Checks the rights to agents' connections, watches and dashboards again, which then end if a right is gone.
 *
 * - The database announces on {@link channel} each change of a token, a user, an agent or a workspace that may take a
 *   right away. Every replica then checks the watchers of that subject at once.
 * - Every watcher is also checked once a minute, and after announcements may have been lost.
 * - A check that fails ends nothing: only a check that returns false does.
 */
import { Context, type Duration, Effect, Layer, Schedule, type Scope, Stream } from "effect"
import * as LeanScope from "../platform/LeanScope.ts"
import type { AgentId, UserId, WorkspaceId } from "../domain/Ids.ts"
import * as PubSub from "../pubsub/PubSub.ts"
import * as Wheel from "../platform/Wheel.ts"

/** The channel of changes. Its messages are subjects. */
export const channel = "access_changed"

export type Subject = `agent:${AgentId}` | `user:${UserId}` | `workspace:${WorkspaceId}`

/** The time between two checks of a watcher. */
export const checkInterval: Duration.Input = "1 minute"

export interface Watcher {
  /** Also checks when a right of this subject has changed. */
  readonly follow: (subject: Subject) => void
}

export class Revocations extends Context.Service<
  Revocations,
  {
    /** Runs `check` until the scope closes. A check of a right has to close the scope if the right is gone. */
    readonly watch: (check: Wheel.Visit) => Effect.Effect<Watcher, never, Scope.Scope>
  }
>()("metadata-batcher/access/Revocations") {}

/** The check of a right: `isValid` returns whether it still holds; if not, `end` is run. */
export const endUnless =
  (isValid: Effect.Effect<boolean, unknown>, end: Effect.Effect<void>): Wheel.Visit =>
  () =>
    Effect.flatMap(
      Effect.orElseSucceed(isValid, () => true),
      (holds) => (holds ? Effect.void : end)
    )

export const make = Effect.gen(function* () {
  const pubsub = yield* PubSub.PubSub
  const wheel = yield* Wheel.make(checkInterval)
  const bySubject = new Map<string, Set<Wheel.Task>>()
  const all = new Set<Wheel.Task>()

  const check = (tasks: Iterable<Wheel.Task> = []) =>
    Effect.sync(() => {
      for (const task of tasks) task.runNowUnsafe()
    })

  yield* pubsub.subscribe(channel).pipe(
    Stream.runForEach((event) => check(PubSub.is("Message")(event) ? bySubject.get(event.payload) : all)),
    Effect.tapError((error) => Effect.logWarning("revocations not received", error)),
    Effect.retry(Schedule.spaced("1 second")),
    Effect.forkScoped
  )

  return Revocations.of({
    watch: Effect.fnUntraced(function* (check) {
      const task = yield* wheel.add(check)
      const followed: Array<Subject> = []
      yield* LeanScope.acquireRelease(
        Effect.sync(() => all.add(task)),
        () =>
          Effect.sync(() => {
            all.delete(task)
            for (const subject of followed) {
              const tasks = bySubject.get(subject)
              tasks?.delete(task)
              if (tasks?.size === 0) bySubject.delete(subject)
            }
          })
      )
      return {
        follow: (subject) => {
          if (followed.includes(subject)) return
          followed.push(subject)
          const tasks = bySubject.get(subject) ?? new Set()
          bySubject.set(subject, tasks.add(task))
        }
      }
    })
  })
})

export const layer: Layer.Layer<Revocations, never, PubSub.PubSub> = Layer.effect(Revocations, make)

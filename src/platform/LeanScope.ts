/** Resources of connections, of which there are many: their scopes keep no context. */
import { Effect, Scope } from "effect"

/**
 * Acquires a resource that is released when the scope closes, as `Effect.acquireRelease` does. `release` runs with the
 * context of the fiber that closes the scope, so that the scope does not hold the context of the acquisition: a copy of
 * several kilobytes for each connection.
 */
export const acquireRelease = <A, E, R>(
  acquire: Effect.Effect<A, E, R>,
  release: (resource: A) => Effect.Effect<unknown>
): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptible(
    Effect.flatMap(Effect.scope, (scope) =>
      Effect.tap(acquire, (resource) => Scope.addFinalizerExit(scope, releasing(release, resource)))
    )
  )

// apart from the acquisition, which it would keep
const releasing =
  <A>(release: (resource: A) => Effect.Effect<unknown>, resource: A) =>
  () =>
    release(resource)

/**
 * Ends a process that cannot continue because its background work failed, which would otherwise go unnoticed.
 *
 * Watched work runs as long as its scope. Each failure or defect of watched work is logged as fatal, and `failure`
 * fails with the first one.
 *
 * @example
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import * as Fatal from "metadata-batcher/Fatal"
 *
 * const Work = Fatal.watch("the poller", Effect.fail("no connection")).pipe(Layer.provideMerge(Fatal.layer))
 *
 * const program = Fatal.Fatal.use(({ failure }) => Effect.flip(failure)).pipe(
 *   Effect.flatMap(({ message }) => Console.log(message))
 * )
 * await Effect.runPromise(Effect.provide(program, Work))
 * // Output:
 * // the poller failed: no connection
 * ```
 */
import { Cause, Context, Data, Deferred, Effect, Layer } from "effect"

/** The service cannot continue. */
export class FatalError extends Data.TaggedError("FatalError")<{
  /** The part that failed. */
  readonly part: string
  /** The failure or the defect. */
  readonly cause: unknown
}> {
  override get message() {
    return `${this.part} failed: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** The failure of watched work as a service. */
export class Fatal extends Context.Service<
  Fatal,
  {
    /** Fails with the first failure of watched work, and never succeeds. */
    readonly failure: Effect.Effect<never, FatalError>
    /** Fails `failure`. Only the first call has an effect. */
    readonly signal: (error: FatalError) => Effect.Effect<void>
  }
>()("metadata-batcher/telemetry/Fatal") {}

/** Provides `Fatal`. A program that serves waits for its `failure`. */
export const layer: Layer.Layer<Fatal> = Layer.effect(
  Fatal,
  Effect.map(Deferred.make<never, FatalError>(), (first) => ({
    failure: Deferred.await(first),
    signal: (error) => Effect.asVoid(Deferred.fail(first, error))
  }))
)

/** Runs `work` in the background as long as the layer lives. Its failure is logged as that of `part`. */
export const watch = <E, R>(part: string, work: Effect.Effect<never, E, R>) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const fatal = yield* Fatal
      yield* work.pipe(
        Effect.onError((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.void
            : Effect.andThen(
                Effect.logFatal(`${part} failed`, cause),
                fatal.signal(new FatalError({ part, cause: Cause.squash(cause) }))
              )
        ),
        Effect.forkScoped
      )
    })
  )

/**
 * Gives each write a root span, which links to the spans in which updates were added since the write before.
 *
 * While everything pending fits into a batch these are the spans of its updates. A write that fails returns its links to the
 * next one.
 */
import { Context, Effect, Tracer } from "effect"
import type { FlushReason } from "../BatcherObserver.ts"
import type { Batcher } from "./handle.ts"

/** OpenTelemetry keeps no more links per span. */
const maxLinks = 128

type Write<A, E, R> = (
  batch: ReadonlyArray<A>,
  reason: FlushReason,
  onStored: () => void
) => Effect.Effect<unknown, E, R>

export class WriteSpans {
  readonly #name: string
  #added = new Set<Tracer.AnySpan>()

  constructor(name: string) {
    this.#name = name
  }

  /** Returns a write in a span of its own. */
  around<A, E, R>(write: Write<A, E, R>): Write<A, E, R> {
    return (batch, reason, onStored) => {
      const writing = write(batch, reason, onStored)
      // the caller says what is wrong with it
      if (!Effect.isEffect(writing)) return writing
      const spans = this.#added
      this.#added = new Set()
      return writing.pipe(
        Effect.onError(() => Effect.sync(() => spans.forEach((span) => this.#note(span)))),
        Effect.withSpan(this.#name, {
          // without this, an active span of OpenTelemetry would be the parent
          root: true,
          attributes: { reason, updates: batch.length },
          links: [...spans].map((span) => ({ span, attributes: {} }))
        })
      )
    }
  }

  /** Returns a batcher that notes the spans of its callers. */
  noting<A, U, E>(batcher: Batcher<A, U, E>): Batcher<A, U, E> {
    const noting =
      <X, F>(add: (updates: U) => Effect.Effect<X, F>) =>
      (updates: U): Effect.Effect<X, F> =>
        Effect.withFiber(({ context }) => {
          const span = Context.getOrUndefined(context, Tracer.ParentSpan)
          if (span?.sampled === true) this.#note(span)
          return add(updates)
        })
    return {
      ...batcher,
      add: noting(batcher.add),
      tryAdd: noting(batcher.tryAdd),
      offer: noting(batcher.offer),
      addAndWait: noting(batcher.addAndWait),
      offerAndWait: noting(batcher.offerAndWait)
    }
  }

  #note(span: Tracer.AnySpan): void {
    if (this.#added.size < maxLinks) this.#added.add(span)
  }
}

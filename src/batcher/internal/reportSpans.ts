/**
 * Which span each row was reported in, and the span of the write that took it along.
 *
 * - A write links to the spans of its rows, each once, up to 128 of them; how many reports there were it tells in any case.
 * - A row that was replaced by a newer one is not written, and its report not linked for it.
 * - A row that is put back and tried again takes its span along. Spans are held for as long as their rows.
 */
import { Context, Effect, References, Tracer } from "effect"
import type { MetadataRow } from "../../domain/Metadata.ts"
import type { FlushReason } from "../BatcherObserver.ts"

/** More than that the specification of OpenTelemetry does not keep. */
const maxLinks = 128

/** Whether spans go anywhere: without a tracer of somebody's own they would be made to be thrown away. */
export const isTraced = (context: Context.Context<never>): boolean =>
  Context.get(context, References.TracerEnabled) && Context.getOrUndefined(context, Tracer.Tracer) !== undefined

export const makeReportSpans = () => {
  const spans = new WeakMap<MetadataRow, Tracer.AnySpan>()
  return {
    /** Remembers the span that rows were reported in, if it is sampled. Answers the rows. */
    note(context: Context.Context<never>, rows: ReadonlyArray<MetadataRow>): ReadonlyArray<MetadataRow> {
      const span = Context.getOrUndefined(context, Tracer.ParentSpan)
      if (span?.sampled === true) for (const row of rows) spans.set(row, span)
      return rows
    },

    /** Writes rows within a span of their own. */
    flush<A, E, R>(rows: ReadonlyArray<MetadataRow>, reason: FlushReason, write: Effect.Effect<A, E, R>) {
      const reports = new Set<Tracer.AnySpan>()
      for (const row of rows) {
        const span = spans.get(row)
        if (span !== undefined) reports.add(span)
      }
      return Effect.withSpan(write, "MetadataBatcher.flush", {
        root: true,
        attributes: { reason, entries: rows.length, reports: reports.size },
        links: [...reports].slice(0, maxLinks).map((span) => ({ span, attributes: {} }))
      })
    },

    /** Publishes within a span of its own. */
    publish<A, E, R>(publish: Effect.Effect<A, E, R>, attributes: Record<string, unknown>) {
      return Effect.withSpan(publish, "MetadataBatcher.publish", { kind: "producer", attributes })
    }
  }
}

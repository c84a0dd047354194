/**
 * Remembers the span in which each row was reported, for the span of the write that takes the row along.
 *
 * - A write links to the spans of its rows, each once, up to 128 of them; its attribute `reports` counts all of them.
 * - A row that was replaced by a newer one is not written, and its report is not linked.
 * - A row that is put back and tried again keeps its span. Spans are held as long as their rows.
 */
import { Context, Effect, Tracer } from "effect"
import type { MetadataRow } from "../../domain/Metadata.ts"
import type { FlushReason } from "../../batcher/BatcherObserver.ts"

/** OpenTelemetry keeps no more links per span. */
const maxLinks = 128

export const makeReportSpans = () => {
  const spans = new WeakMap<MetadataRow, Tracer.AnySpan>()
  return {
    /** Returns how to remember the current span for each row of a report, if the span is sampled. */
    note(context: Context.Context<never>): ((row: MetadataRow) => void) | undefined {
      const span = Context.getOrUndefined(context, Tracer.ParentSpan)
      return span?.sampled === true ? (row) => spans.set(row, span) : undefined
    },

    /** Writes rows within a span of their own. */
    flush<A, E, R>(rows: ReadonlyArray<MetadataRow>, reason: FlushReason, write: Effect.Effect<A, E, R>) {
      const reports = new Set<Tracer.AnySpan>()
      for (const row of rows) {
        const span = spans.get(row)
        if (span !== undefined) reports.add(span)
      }
      return Effect.withSpan(write, "MetadataBatcher.flush", {
        // without this, an active span of OpenTelemetry would be the parent
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

export type ReportSpans = ReturnType<typeof makeReportSpans>

/** Whether spans are recorded: without a tracer of its own, Effect makes spans that nobody reads. */
import { Context, References, Tracer } from "effect"

/** Whether a context has a tracer and tracing is enabled. */
export const isEnabled = (context: Context.Context<never>): boolean =>
  Context.get(context, References.TracerEnabled) && Context.getOrUndefined(context, Tracer.Tracer) !== undefined

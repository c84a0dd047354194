/** Whether spans go anywhere: without a tracer of somebody's own they are made to be thrown away. */
import { Context, References, Tracer } from "effect"

export const isTraced = (context: Context.Context<never>): boolean =>
  Context.get(context, References.TracerEnabled) && Context.getOrUndefined(context, Tracer.Tracer) !== undefined

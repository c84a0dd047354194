/** A tracer that keeps the names of the spans that begin. */
import { Tracer } from "effect"

export const recordSpans = () => {
  const names = new Set<string>()
  const tracer = Tracer.make({
    span(options) {
      names.add(options.name)
      return new Tracer.NativeSpan(options)
    }
  })
  return { names, tracer }
}

/**
 * Agent ids without Schema, for bundles that have to be small. They are the same ids as those of `Ids`.
 *
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { PlainIds } from "metadata-batcher"
 *
 * const program = Effect.gen(function* () {
 *   const agent = yield* Effect.fromOption(PlainIds.agentId("6C3BDF9E-2F3F-4C1D-9A3E-0D3C5A3F9D10"))
 *   yield* Console.log(agent)
 * })
 *
 * await Effect.runPromise(program)
 * // Output:
 * // 6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10
 * ```
 */
import { type Brand, Option } from "effect"

/** A UUID in its canonical form, in lower case. */
export const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Returns the agent id that a text in either case is, or nothing if it is no UUID. */
export const agentId = (text: string): Option.Option<string & Brand.Brand<"AgentId">> => {
  const lower = text.toLowerCase()
  return pattern.test(lower) ? Option.some(lower as string & Brand.Brand<"AgentId">) : Option.none()
}

/** Statements of a service, recorded in order. */
import { Context, Effect, Layer } from "effect"
import { Statement } from "effect/sql"

export interface Made {
  readonly text: string
  readonly parameters: ReadonlyArray<unknown>
}

/**
 * The statements that were made, in their order. Announcements are left out, and those that a service makes by
 * itself at an interval: the comparison of clocks, and the check of readiness.
 */
export class Statements extends Context.Service<Statements, Array<Made>>()("test/support/Statements") {}

/** Notes every statement that is made by what is built with the layer. */
export const layer = Layer.unwrap(
  Effect.sync(() => {
    const made: Array<Made> = []
    const note: Statement.Transformer = (statement) =>
      Effect.sync(() => {
        const [text, parameters] = statement.compile()
        if (!/clock_timestamp\(\)|^\s*SELECT 1\s*$|transaction_read_only|pg_is_in_recovery|pg_notify/.test(text)) {
          made.push({ text: text.replace(/--.*$/gm, "").replace(/\s+/g, " ").trim(), parameters })
        }
        return statement
      })
    return Layer.mergeAll(Layer.succeed(Statements, made), Layer.succeed(Statement.CurrentTransformer, note))
  })
)

/** The write of a statement, as `UPDATE users`, or its text if it writes nothing. */
export const written = ({ text }: Made): string =>
  /\b(?:UPDATE|INSERT INTO|DELETE FROM) (?!SET\b)\w+/.exec(text)?.[0] ??
  /\bupdate_workspace_agent_metadata\b/.exec(text)?.[0] ??
  text

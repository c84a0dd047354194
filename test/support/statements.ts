/** What a service asks of its database, statement by statement. */
import { Context, Effect, Layer } from "effect"
import { Statement } from "effect/sql"

/** The texts of all statements that were made, in their order; whoever wants to begin anew empties it. */
export class Statements extends Context.Service<Statements, Array<string>>()("test/support/Statements") {}

/** Notes every statement that is made by what is built with the layer. */
export const layer = Layer.unwrap(
  Effect.sync(() => {
    const texts: Array<string> = []
    const note: Statement.Transformer = (statement) =>
      Effect.sync(() => {
        texts.push(statement.compile()[0].replace(/\s+/g, " ").trim())
        return statement
      })
    return Layer.mergeAll(Layer.succeed(Statements, texts), Layer.succeed(Statement.CurrentTransformer, note))
  })
)

/** What a statement writes, as `UPDATE users`, or its text when it writes nothing. */
export const written = (statement: string): string =>
  /\b(?:UPDATE|INSERT INTO|DELETE FROM) (?!SET\b)\w+/.exec(statement)?.[0] ??
  /\bupdate_workspace_agent_metadata\b/.exec(statement)?.[0] ??
  statement

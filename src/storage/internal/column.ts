/** Passes lists as parameters, so that the text of a statement is the same for lists of any length. */
import { PgTypes } from "@effect/sql-pg"
import { Result } from "effect"

/** Returns a list as an array of Postgres; `oid` is the type of the elements. */
export const array = (oid: number, values: ReadonlyArray<unknown>) => Result.getOrThrow(PgTypes.array(values, oid))

/** Returns one value of each row, as an array of Postgres. */
export const column = <Row>(oid: number, rows: ReadonlyArray<Row>, of: (row: Row) => unknown) =>
  array(oid, rows.map(of))

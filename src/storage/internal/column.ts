/** Lists as parameters of a statement, so that its text is the same however long they are. */
import { PgTypes } from "@effect/sql-pg"
import { Result } from "effect"

/** A list as an array of Postgres, with the OID of what it is a list of. */
export const array = (oid: number, values: ReadonlyArray<unknown>) => Result.getOrThrow(PgTypes.array(values, oid))

/** One value of each row, as such an array. */
export const column = <Row>(oid: number, rows: ReadonlyArray<Row>, of: (row: Row) => unknown) =>
  array(oid, rows.map(of))

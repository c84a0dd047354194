/**
 * Combines concurrent requests into one statement, so that a fleet that reconnects causes few statements, and any number of
 * calls of one agent causes one.
 */
import { Effect, identity, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import * as RequestCoalescer from "../../batcher/RequestCoalescer.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import type { Share } from "../../telemetry/PoolMetrics.ts"
import { asStoreError, storeOperation } from "./storeOperation.ts"

/** The maximum number of requests in one statement. */
const maxRequests = 1_000

export interface Options<Q> {
  /** The maximum number of requests in one statement. Default: 1 000. */
  readonly maxSize?: number | undefined
  /** Requests with equal keys are one request. Default: the request itself. */
  readonly keyOf?: ((request: Q) => unknown) | undefined
}

/** Returns a request of one, built on a statement for many, which has a span of its own. It uses one connection of the pool at a time. */
export const coalesced = <Q, A, E>(
  name: string,
  call: (requests: ReadonlyArray<Q>) => Effect.Effect<(request: Q) => A, E>,
  { keyOf = identity, maxSize = maxRequests }: Options<Q> = {}
): Effect.Effect<(request: Q) => Effect.Effect<A, E>> =>
  Effect.map(RequestCoalescer.make({ name, window: 0, maxSize, concurrency: 1, keyOf, call }), ({ request }) => request)

export interface RowsOptions<Id, A> {
  readonly share: Share
  readonly operation: string
  readonly row: Schema.ConstraintDecoder<A>
  /** Reads the rows of many owners, in the order of the rows of each; `ownerId` names the owner of a row. */
  readonly execute: (
    ids: ReadonlyArray<Id>
  ) => Effect.Effect<ReadonlyArray<{ readonly ownerId: Id }>, SqlError.SqlError>
  /** The maximum number of owners in one statement. */
  readonly maxOwners?: number | undefined
}

/**
 * Returns a read of the rows of one owner, built on a statement that reads the rows of many. Each caller decodes its own
 * rows, so that a row that cannot be decoded is an error for its owner alone.
 */
export const coalescedRows = <Id, A>(
  sql: SqlClient.SqlClient,
  { execute, maxOwners, operation, row, share }: RowsOptions<Id, A>
): Effect.Effect<(id: Id) => Effect.Effect<ReadonlyArray<A>, StoreError>> => {
  const decode = Schema.decodeUnknownEffect(Schema.Array(row))
  const read = (ids: ReadonlyArray<Id>) =>
    execute(ids).pipe(
      Effect.map((rows) => {
        const byOwner = Map.groupBy(rows, ({ ownerId }) => ownerId)
        return (id: Id) => byOwner.get(id) ?? []
      }),
      storeOperation(sql, share, operation)
    )
  return Effect.map(
    coalesced(operation, read, { maxSize: maxOwners }),
    (rowsOf) => (id) => Effect.flatMap(rowsOf(id), (rows) => asStoreError(operation)(decode(rows)))
  )
}

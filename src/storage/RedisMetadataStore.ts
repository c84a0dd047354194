/**
 * Stores the values of metadata in Redis or Valkey, as a single server or a cluster, for those whose values outgrow one
 * Postgres. The declarations of keys stay in Postgres.
 *
 * - Needs the package `redis` and a server of Redis 6 or Valkey, or later. Building the layer fails when it cannot be used.
 * - An agent is one hash. Its rows are written by one call of a script, and the calls of a batch are sent together. A node
 *   that fails does not undo what others have written: the batch fails, and writing it again is harmless.
 * - Times, undeclared keys and counted rows follow the rules of `PgMetadataStore`, by the clock of the server. While that is
 *   more than a minute apart from the clock of the database, rows are stored by their age.
 * - A declared key without a value gets one with its first sample, and again after the server lost its data. This takes
 *   a statement of Postgres, and a second call.
 * - Hashes of agents that Postgres no longer has are deleted once an hour.
 *
 * @example
 * ```ts
 * import { Config, Console, Effect, Layer, Redacted } from "effect"
 * import { MetadataStore } from "metadata-batcher"
 * import * as Postgres from "metadata-batcher/Postgres"
 * import * as RedisMetadataStore from "metadata-batcher/RedisMetadataStore"
 *
 * const Database = Layer.unwrap(Effect.map(Config.Redacted("DATABASE_URL"), (url) => Postgres.layerMigrated({ url })))
 * const Store = RedisMetadataStore.layer({ url: Redacted.make("redis://127.0.0.1:1") })
 * const program = Effect.gen(function* () {
 *   const { updateBatch } = yield* MetadataStore.MetadataStore
 *   yield* updateBatch([])
 * })
 * await program.pipe(
 *   Effect.provide(Layer.provide(Store, Database)),
 *   Effect.catchTag("MetadataStoreUnusable", ({ message, reason }) => Console.log(`${reason}: ${message}`)),
 *   Effect.runPromise
 * )
 * // Output:
 * // unreachable: cannot reach the metadata store redis://127.0.0.1:1 (connect ECONNREFUSED 127.0.0.1:1): start it, or set METADATA_STORE_URL to the address of a metadata store that runs
 * ```
 */
import { Data, type Duration, Effect, Layer, type Redacted, Schedule, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../domain/Ids.ts"
import { type AgentMetadata, zeroTime } from "../domain/Metadata.ts"
import { pattern as uuid } from "../domain/PlainIds.ts"
import type { StoreError } from "../domain/StoreError.ts"
import { MetadataStore } from "../metadata/MetadataStore.ts"
import { defaultStorePrefix, storeRole } from "../metadata/MetadataVariables.ts"
import type * as RemoteServer from "../platform/RemoteServer.ts"
import * as DeclaredKeys from "./internal/declaredKeys.ts"
import { type CommandFailed, failedOperation, make as makeNodes } from "./internal/redis/redisNodes.ts"
import * as WriteRows from "./internal/redis/writeRows.ts"
import * as WriteScript from "./internal/redis/writeScript.ts"
import { storeOperation } from "./internal/storeOperation.ts"
import { PresentFor } from "./PgClock.ts"

/** The address of the server, the credentials and the times of the store. */
export interface Options extends RemoteServer.Options {
  /** `redis://user:password@host:port` or `rediss://…`, with more hosts of a cluster behind commas. */
  readonly url: Redacted.Redacted
  /** A file with `user:password` or a password. It is read for each connection. */
  readonly credentialsFile?: string | undefined
  /** The first part of the names of its keys, different for each service that shares the server. Default: `metadata_batcher`. */
  readonly prefix?: string | undefined
  /** The longest time of a write. Default: 10 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
  /** The longest time of a read. Default: 10 seconds. */
  readonly readTimeout?: Duration.Input | undefined
}

/** The server cannot be used. The message names the setting and what to do; no message has a password. */
export class MetadataStoreUnusable extends Data.TaggedError("MetadataStoreUnusable")<{
  /** The kind of the failure. */
  readonly reason: RemoteServer.Reason
  /** The cause and the remedy, in one sentence. */
  readonly detail: string
  /** The error of the client. */
  readonly cause?: unknown
}> {
  override get message() {
    return this.detail
  }
}

/** Provides `MetadataStore` over Redis or Valkey, beside a database whose schema is up to date. */
export const layer = (options: Options): Layer.Layer<MetadataStore, MetadataStoreUnusable, SqlClient.SqlClient> =>
  Layer.effect(MetadataStore, make(options))

/** Returns a store of metadata, which is connected as long as the scope is open. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<MetadataStore["Service"], MetadataStoreUnusable, SqlClient.SqlClient | Scope.Scope> {
  const { prefix = defaultStorePrefix, readTimeout = "10 seconds", writeTimeout = "10 seconds" } = options
  const sql = yield* SqlClient.SqlClient
  const presentFor = yield* PresentFor
  const hashOf = (name: string) => `${prefix}:{${name}}`
  const probe = hashOf("probe")
  const rights = (address: string, why: string) =>
    `the user of the metadata store ${address} may not do what the service does (${why}): allow it the commands hello, eval, evalsha, time, hmget, hset, del, scan and cluster|slots, and the keys that begin with ${prefix}: or set METADATA_STORE_PREFIX to a prefix that is allowed`

  const nodes = yield* makeNodes({ ...options, role: storeRole, probe, rights }).pipe(
    Effect.mapError((problem) => new MetadataStoreUnusable(problem))
  )

  const write = WriteRows.make({
    nodes,
    hashOf,
    presentFor,
    declaredOf: (rows) =>
      DeclaredKeys.declaredOf(sql, rows).pipe(storeOperation(sql, "writes", "write metadata", writeTimeout))
  })

  const find = Effect.fnUntraced(function* (agentIds: ReadonlyArray<AgentId>, keys: ReadonlyArray<string>) {
    const declared = yield* DeclaredKeys.find(sql, agentIds, keys).pipe(
      storeOperation(sql, "readers", "read metadata", readTimeout)
    )
    const ofAgents = [...Map.groupBy(declared, ({ agentId }) => agentId)]
    const replies = yield* nodes.sendAll(
      ofAgents.map(([agentId, descriptions]) => [
        hashOf(agentId),
        ["HMGET", hashOf(agentId), ...descriptions.map(({ key }) => key)]
      ])
    )
    const found = new Map<AgentId, ReadonlyArray<AgentMetadata>>()
    for (const [index, [agentId, descriptions]] of ofAgents.entries()) {
      const fields = (yield* Effect.fromResult(replies[index]!)) as ReadonlyArray<string | null>
      found.set(
        agentId,
        descriptions.map(({ agentId: _, ...description }, place) => ({
          ...description,
          ...(WriteScript.parse(fields[place] ?? null) ?? empty)
        }))
      )
    }
    return found
  })

  /** Deletes the hashes of agents that Postgres does not have. */
  const forget = nodes.scan(
    hashOf("*"),
    Effect.fnUntraced(function* (hashes) {
      const ids = hashes.map((hash) => hash.slice(hashOf("").length - 1, -1)).filter((id) => uuid.test(id))
      if (ids.length === 0) return
      const gone = yield* DeclaredKeys.unknownOf(sql, ids).pipe(
        storeOperation(sql, "background", "find deleted agents", "1 minute")
      )
      yield* nodes.sendAll(gone.map((id) => [hashOf(id), ["DEL", hashOf(id)]]))
    })
  )

  const [probed] = yield* WriteRows.run(nodes, [
    [probe, WriteScript.args("create", { newest: 0, present: 0 }, [probeRow])]
  ])
  yield* Effect.fromResult(probed!).pipe(
    Effect.andThen(nodes.send(probe, ["DEL", probe])),
    Effect.andThen(nodes.send(probe, ["SCAN", "0", "MATCH", probe])),
    Effect.mapError((error) => new MetadataStoreUnusable(nodes.broken(error)))
  )
  yield* forget.pipe(
    Effect.catchCause((cause) => Effect.logWarning("values of deleted agents not deleted", cause)),
    Effect.repeat(Schedule.jittered(Schedule.spaced("1 hour"))),
    Effect.forkScoped
  )

  return MetadataStore.of({
    problem: nodes.problem,
    updateBatch: Effect.fn("RedisMetadataStore.updateBatch")(function* (rows) {
      if (rows.length === 0) return []
      return yield* write(rows).pipe(asOperation("write metadata", writeTimeout))
    }),
    read: Effect.fn("RedisMetadataStore.read")(function* (agentId, keys = []) {
      const found = yield* find([agentId], keys).pipe(asOperation("read metadata", readTimeout))
      return found.get(agentId) ?? []
    }),
    readMany: Effect.fn("RedisMetadataStore.readMany")(function* (agentIds) {
      return yield* find(agentIds, []).pipe(asOperation("read metadata", readTimeout))
    })
  })
})

const empty: WriteScript.Sample = { value: "", error: "", collectedAt: zeroTime }

const probeRow = { key: "start", value: "", error: "", collectedAt: zeroTime }

/** Limits the time of an operation, and turns an error of Redis into a `StoreError`, which is counted. */
const asOperation =
  (operation: string, timeout: Duration.Input) =>
  <A, R>(self: Effect.Effect<A, StoreError | CommandFailed, R>): Effect.Effect<A, StoreError, R> =>
    self.pipe(
      Effect.timeout(timeout),
      Effect.catchTags({
        CommandFailed: (error) => failedOperation(operation, error.cause),
        TimeoutError: (error) => failedOperation(operation, error)
      })
    )

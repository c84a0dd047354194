/**
 * Where the replicas of the scenarios keep values: the database, or with `FAULTS_METADATA_STORE_URL` Redis, as a single
 * server or a cluster. Each scenario has names of its own there.
 */
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import * as RedisCluster from "../support/redisCluster.ts"
import { parse } from "../../src/storage/internal/redis/writeScript.ts"
import type { Row } from "./Ledger.ts"

/** The address of the servers that keep the values of all scenarios, if it is not the database. */
export const sharedUrl = process.env["FAULTS_METADATA_STORE_URL"]

let prefix = "faults"

/** From now on replicas use other names. */
export const begin = Effect.sync(() => {
  prefix = `faults-${randomUUID()}`
})

/** Whether values are in Redis for all scenarios. */
export const isShared = sharedUrl !== undefined

/** The settings of a replica. */
export const settings = (url = sharedUrl): Readonly<Record<string, string>> =>
  url === undefined ? {} : { METADATA_STORE_URL: url, METADATA_STORE_PREFIX: prefix }

/** The values that the servers hold. A server that is away holds none. */
export const rows = (url = sharedUrl!): Effect.Effect<ReadonlyArray<Row>> =>
  Effect.map(
    Effect.forEach(
      [...url.matchAll(/:(\d+)(?=,|$)/g)].map(([, port]) => Number(port)),
      rowsAt
    ),
    (all) => all.flat()
  )

const rowsAt = (port: number) =>
  Effect.gen(function* () {
    const hashes = (yield* RedisCluster.send(port, ["KEYS", `${prefix}:{*}`])) as ReadonlyArray<string>
    const all = yield* RedisCluster.sendAll(
      port,
      hashes.map((hash) => ["HGETALL", hash])
    )
    return all.flatMap((fields, index) =>
      Object.entries(Object(fields) as Record<string, string>).map(([key, field]): Row => ({
        agentId: hashes[index]!.slice(prefix.length + 2, -1),
        key,
        value: parse(field)?.value ?? ""
      }))
    )
  }).pipe(
    Effect.map((all) => all.filter(({ value }) => value !== "")),
    Effect.catchCause(() => Effect.succeed([]))
  )

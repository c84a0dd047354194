/**
 * Stores the tailnet in Postgres.
 *
 * - A batch is one statement, whose text is the same for any number of changes.
 * - A batch locks peers in the order of their ids.
 * - The database's time decides where times of several replicas are compared.
 */
import { PgTypes } from "@effect/sql-pg"
import { type Duration, Effect, Layer, Result, Schema } from "effect"
import { SqlClient, SqlSchema, type Statement } from "effect/sql"
import { ReplicaId } from "../domain/Ids.ts"
import { type Change, CoordinatorStore } from "../tailnet/CoordinatorStore.ts"
import { PeerId } from "../tailnet/Peer.ts"
import { livingReplicas } from "./internal/livingReplicas.ts"
import { storeOperation } from "./internal/storeOperation.ts"

export interface Options {
  /** How long a replica may send no heartbeat before it counts as dead. Default 6 seconds. */
  readonly heartbeatTimeout?: Duration.Input | undefined
}

const Millis = Schema.FiniteFromString

const PeerRow = Schema.Struct({
  id: PeerId,
  replicaId: ReplicaId,
  isReplicaAlive: Schema.Boolean,
  status: Schema.Literals(["ok", "lost"]),
  node: Schema.Uint8Array,
  startedAt: Millis,
  changedAt: Millis
})

const TunnelRow = Schema.Struct({ source: PeerId, target: PeerId })

const OtherReplica = Schema.Struct({ id: ReplicaId, ageMillis: Schema.Finite })

const Ids = Schema.Array(PeerId)

const uuids = (ids: ReadonlyArray<string>) => Result.getOrThrow(PgTypes.array([...ids], PgTypes.OID.uuid))

export const layer = (options: Options = {}): Layer.Layer<CoordinatorStore, never, SqlClient.SqlClient> =>
  Layer.effect(
    CoordinatorStore,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const living = livingReplicas(sql, options.heartbeatTimeout)

      const peers = SqlSchema.findAll({
        Request: Ids,
        Result: PeerRow,
        execute: (ids) => sql`
          SELECT id, coordinator_id AS "replicaId", status, node, started_at::text AS "startedAt",
            changed_at::text AS "changedAt", coordinator_id IN (${living}) AS "isReplicaAlive"
          FROM tailnet_peers
          WHERE id = ANY(${uuids(ids)})`
      })

      const tunnels = SqlSchema.findAll({
        Request: Ids,
        Result: TunnelRow,
        execute: (ids) => sql`
          SELECT src_id AS source, dst_id AS target FROM tailnet_tunnels WHERE src_id = ANY(${uuids(ids)})
          UNION
          SELECT src_id, dst_id FROM tailnet_tunnels WHERE dst_id = ANY(${uuids(ids)})`
      })

      const write = makeWrite(sql, living)

      const beat = SqlSchema.findAll({
        Request: ReplicaId,
        Result: OtherReplica,
        execute: (replicaId) => sql`
          WITH beat AS (
            INSERT INTO tailnet_coordinators (id, heartbeat_at) VALUES (${replicaId}, clock_timestamp())
            ON CONFLICT (id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at
          )
          SELECT id, (extract(epoch FROM clock_timestamp() - heartbeat_at) * 1000)::float8 AS "ageMillis"
          FROM tailnet_coordinators
          WHERE id <> ${replicaId}`
      })

      const loseAll = SqlSchema.findAll({
        Request: ReplicaId,
        Result: Schema.Struct({ id: PeerId }),
        execute: (replicaId) => sql`
          UPDATE tailnet_peers SET status = 'lost', updated_at = clock_timestamp()
          WHERE coordinator_id = ${replicaId} AND status = 'ok'
          RETURNING id`
      })

      const cleanUp = makeCleanUp(sql)
      const idsOf = Effect.map((rows: ReadonlyArray<{ readonly id: PeerId }>) => rows.map(({ id }) => id))

      return CoordinatorStore.of({
        peers: (ids) => peers(ids).pipe(storeOperation(sql, "calls", "read peers")),
        tunnels: (ids) => tunnels(ids).pipe(storeOperation(sql, "calls", "read tunnels")),
        write: (replicaId, changes) =>
          write({ replicaId, ...toJson(changes) }).pipe(storeOperation(sql, "calls", "write peers"), idsOf),
        beat: (replicaId) => beat(replicaId).pipe(storeOperation(sql, "heartbeats", "record a heartbeat", "5 seconds")),
        loseAll: (replicaId) =>
          loseAll(replicaId).pipe(storeOperation(sql, "heartbeats", "lose the peers of a replica"), idsOf),
        cleanUp: cleanUp.pipe(storeOperation(sql, "background", "clean up the tailnet", "1 minute"))
      })
    })
  )

/** Writes changed peers and tunnels in one statement, and returns the peers whose rows changed. */
const makeWrite = (sql: SqlClient.SqlClient, living: Statement.Fragment) =>
  SqlSchema.findAll({
    Request: Schema.Struct({ replicaId: ReplicaId, peers: Schema.String, tunnels: Schema.String }),
    Result: Schema.Struct({ id: PeerId }),
    execute: ({ peers, replicaId, tunnels }) => sql`
    WITH changed AS (
      SELECT id, status, decode(node, 'base64') AS node, started_at, changed_at
      FROM json_to_recordset(${peers}::json)
        AS changed (id uuid, status text, node text, started_at bigint, changed_at bigint)
    ), tunnels AS (
      SELECT * FROM json_to_recordset(${tunnels}::json) AS tunnel (src_id uuid, dst_id uuid, is_open boolean)
    ), written AS (
      INSERT INTO tailnet_peers AS stored
        (id, coordinator_id, status, node, started_at, changed_at, updated_at)
      SELECT id, ${replicaId}, status, node, started_at, changed_at, clock_timestamp()
      FROM changed
      WHERE status <> 'gone'
      ORDER BY id
      ON CONFLICT (id) DO UPDATE SET
        coordinator_id = excluded.coordinator_id,
        status = excluded.status,
        node = excluded.node,
        started_at = excluded.started_at,
        changed_at = excluded.changed_at,
        updated_at = excluded.updated_at
      WHERE stored.coordinator_id = excluded.coordinator_id
        OR (
          excluded.status = 'ok'
          AND (
            excluded.started_at >= stored.started_at
            OR stored.status = 'lost'
            OR stored.coordinator_id NOT IN (${living})
          )
        )
      RETURNING id
    ), gone AS (
      SELECT id FROM changed
      WHERE status = 'gone' AND NOT EXISTS (
        SELECT FROM tailnet_peers AS stored
        WHERE stored.id = changed.id AND stored.coordinator_id <> ${replicaId} AND stored.status = 'ok'
          AND stored.coordinator_id IN (${living})
      )
    ), removed AS (
      DELETE FROM tailnet_peers WHERE id IN (SELECT id FROM gone) RETURNING id
    ), opened AS (
      INSERT INTO tailnet_tunnels AS stored (src_id, dst_id, updated_at)
      SELECT src_id, dst_id, clock_timestamp() FROM tunnels WHERE is_open
      ORDER BY src_id, dst_id
      ON CONFLICT (src_id, dst_id) DO UPDATE SET updated_at = excluded.updated_at
    ), closed AS (
      DELETE FROM tailnet_tunnels AS stored
      WHERE (
        (src_id, dst_id) IN (SELECT src_id, dst_id FROM tunnels WHERE NOT is_open)
        OR src_id IN (SELECT id FROM gone)
      ) AND (src_id, dst_id) NOT IN (SELECT src_id, dst_id FROM tunnels WHERE is_open)
    )
    SELECT id FROM written UNION ALL SELECT id FROM removed`
  })

/** Removes the rows that have not changed for a day. */
const makeCleanUp = (sql: SqlClient.SqlClient) => {
  const day = sql`clock_timestamp() - interval '24 hours'`
  return Effect.gen(function* () {
    yield* sql`DELETE FROM tailnet_coordinators WHERE heartbeat_at < ${day}`
    yield* sql`
    DELETE FROM tailnet_peers
    WHERE updated_at < ${day}
      AND (status = 'lost' OR coordinator_id NOT IN (SELECT id FROM tailnet_coordinators))`
    yield* sql`
    DELETE FROM tailnet_tunnels AS tunnel
    WHERE updated_at < ${day}
      AND NOT EXISTS (SELECT FROM tailnet_peers AS peer WHERE peer.id = tunnel.src_id)`
  })
}

const toJson = (changes: ReadonlyArray<Change>) => {
  const peers: Array<unknown> = []
  const tunnels: Array<unknown> = []
  for (const change of changes) {
    if (change._tag === "tunnel") {
      tunnels.push({ src_id: change.source, dst_id: change.target, is_open: change.isOpen })
    } else {
      const { changedAt, id, node, startedAt, status } = change
      const text = Buffer.from(node.buffer, node.byteOffset, node.length).toString("base64")
      peers.push({ id, status, node: text, started_at: startedAt, changed_at: changedAt })
    }
  }
  return { peers: JSON.stringify(peers), tunnels: JSON.stringify(tunnels) }
}

/**
 * Adds the tailnet: replicas with their heartbeats, peers, and tunnels between peers.
 *
 * A peer has one row, which belongs to its newest stream. The tables are logged, because peers would otherwise learn
 * after a crash of the database that all their partners have disconnected.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`CREATE TABLE tailnet_coordinators (id uuid PRIMARY KEY, heartbeat_at timestamptz NOT NULL)`

  yield* sql`
    CREATE TABLE tailnet_peers (
      id uuid PRIMARY KEY,
      coordinator_id uuid NOT NULL,
      status text NOT NULL CHECK (status IN ('ok', 'lost')),
      node bytea NOT NULL,
      started_at bigint NOT NULL,
      changed_at bigint NOT NULL,
      updated_at timestamptz NOT NULL
    ) WITH (fillfactor = 70)`
  yield* sql`CREATE INDEX tailnet_peers_coordinator_id ON tailnet_peers (coordinator_id)`

  yield* sql`
    CREATE TABLE tailnet_tunnels (
      src_id uuid NOT NULL,
      dst_id uuid NOT NULL,
      updated_at timestamptz NOT NULL,
      PRIMARY KEY (src_id, dst_id)
    )`
  yield* sql`CREATE INDEX tailnet_tunnels_dst_id ON tailnet_tunnels (dst_id)`

  yield* sql`
    CREATE TABLE tailnet_signing_keys (
      id uuid PRIMARY KEY,
      secret bytea NOT NULL,
      starts_at timestamptz NOT NULL,
      ends_at timestamptz NOT NULL
    )`
})

/** Reads an agent as a peer of the tailnet, with its tunnels. */
import { Effect, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { type Tailnet, Tunnel } from "../../dashboard/AgentCatalog.ts"
import { AgentId } from "../../domain/Ids.ts"
import { livingReplicas } from "./livingReplicas.ts"

const Time = Schema.NullOr(Schema.DateTimeUtcFromDate)

const PeerRow = Schema.Struct({
  ...Tunnel.fields,
  connected_at: Time,
  /** Null for the agent itself. */
  opened_at: Time,
  total: Schema.Int
})

export const make = (sql: SqlClient.SqlClient) => {
  const status = sql`
    CASE
      WHEN peer.id IS NULL THEN 'connecting'
      WHEN peer.status = 'ok' AND peer.coordinator_id IN (${livingReplicas(sql)}) THEN 'connected'
      ELSE 'lost'
    END`

  /** Returns the agent itself first, then its partners. */
  const peers = SqlSchema.findAll({
    Request: AgentId,
    Result: PeerRow,
    execute: (agentId) => sql`
      WITH partner AS (
        SELECT src_id AS id, updated_at AS opened_at FROM tailnet_tunnels WHERE dst_id = ${agentId}
        UNION ALL
        SELECT dst_id, updated_at FROM tailnet_tunnels WHERE src_id = ${agentId}
      )
      SELECT member.id AS peer, member.opened_at, (SELECT count(*) FROM partner)::int4 AS total,
        to_timestamp(peer.started_at / 1000.0) AS connected_at, ${status} AS status
      FROM (SELECT ${agentId}::uuid AS id, NULL::timestamptz AS opened_at UNION ALL SELECT * FROM partner) AS member
      LEFT JOIN tailnet_peers AS peer ON peer.id = member.id
      ORDER BY member.opened_at IS NOT NULL, ${status} <> 'connected', member.opened_at DESC
      LIMIT 51`
  })

  return (agentId: AgentId) =>
    Effect.map(peers(agentId), ([self, ...partners]): Tailnet => {
      const { connected_at, status, total } = self!
      const tunnels = partners.map(({ connected_at, opened_at, peer, status }) => ({
        peer,
        status,
        connected_at,
        opened_at: opened_at!
      }))
      return { status, connected_at, total, tunnels }
    })
}

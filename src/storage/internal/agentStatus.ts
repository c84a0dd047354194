/** The SQL of the status of an agent. */
import { Duration } from "effect"
import type { SqlClient } from "effect/sql"

export interface Options {
  /** How long after the last heartbeat an agent counts as connected. Default: 1 minute, which is four heartbeats. */
  readonly silentAfter?: Duration.Input | undefined
}

/**
 * Returns an expression over a row `agent`. An agent is connected while its replica records heartbeats; without one for
 * `silentAfter` it counts as disconnected.
 */
export const agentStatus = (sql: SqlClient.SqlClient, { silentAfter = "1 minute" }: Options) => sql`
  CASE
    WHEN agent.first_connected_at IS NULL THEN
      CASE
        WHEN agent.connection_timeout_seconds > 0
          AND agent.created_at + make_interval(secs => agent.connection_timeout_seconds) < now() THEN 'timeout'
        ELSE 'connecting'
      END
    WHEN agent.disconnected_at >= agent.last_connected_at THEN 'disconnected'
    WHEN agent.last_connected_at < now() - make_interval(secs => ${Duration.toSeconds(silentAfter)}) THEN 'disconnected'
    ELSE 'connected'
  END`

/** The replicas that have sent a heartbeat of the tailnet lately. */
import { Duration } from "effect"
import type { SqlClient, Statement } from "effect/sql"

/** A query of their ids. A replica is dead without a heartbeat for `timeout`. */
export const livingReplicas = (sql: SqlClient.SqlClient, timeout: Duration.Input = "6 seconds"): Statement.Fragment => {
  const seconds = Duration.toSeconds(Duration.fromInputUnsafe(timeout))
  return sql`
    SELECT id FROM tailnet_coordinators WHERE heartbeat_at > clock_timestamp() - interval '1 second' * ${seconds}::float8`
}

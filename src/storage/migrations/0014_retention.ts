/** Adds the indexes by time with which old rows are found. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`CREATE INDEX workspace_agent_logs_created_at_idx ON workspace_agent_logs (created_at)`
  yield* sql`CREATE INDEX connection_logs_connect_time_idx ON connection_logs (connect_time)`
  yield* sql`CREATE INDEX workspace_app_stats_session_ended_at_idx ON workspace_app_stats (session_ended_at)`
  yield* sql`CREATE INDEX workspace_app_statuses_created_at_idx ON workspace_app_statuses (created_at)`
  yield* sql`CREATE INDEX workspace_agent_script_timings_ended_at_idx ON workspace_agent_script_timings (ended_at)`
})

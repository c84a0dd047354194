/** Selects declarations of keys as rows, from the table `description` of a statement. */
import { Schema } from "effect"
import type { SqlClient } from "effect/sql"
import { AgentId } from "../../domain/Ids.ts"

/** The columns of a declaration, beside its agent. */
export const declaredFields = {
  key: Schema.String,
  displayName: Schema.String,
  script: Schema.String,
  interval: Schema.DurationFromNanos,
  timeout: Schema.DurationFromNanos,
  displayOrder: Schema.Int
}

export const DescriptionRow = Schema.Struct({ agentId: AgentId, ...declaredFields })

export const descriptionColumns = (sql: SqlClient.SqlClient) => sql`
  description.workspace_agent_id AS "agentId",
  description.key,
  description.display_name AS "displayName",
  description.script,
  description.interval,
  description.timeout,
  description.display_order AS "displayOrder"`

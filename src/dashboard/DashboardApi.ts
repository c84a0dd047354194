/** The contract of the dashboard: the agents that a user may see. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { AccessUnavailable, AgentNotFound } from "../access/AccessError.ts"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { RequestValidation } from "../platform/ErrorResponse.ts"
import { AgentId } from "../domain/Ids.ts"
import { isStorable } from "../domain/PostgresText.ts"
import { AgentDetails, AgentSummary, SortKey } from "./AgentCatalog.ts"

/** Agents cannot be looked up now. */
export class AgentsUnavailable extends Schema.TaggedError<AgentsUnavailable>()(
  "AgentsUnavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}

/** The user who calls. */
const Viewer = Schema.Struct({ username: Schema.String, is_admin: Schema.Boolean })

const count = (maximum: number) =>
  Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum }))

/** The most agents of a page. */
export const maxPage = 500

export const DashboardApi = HttpApi.make("dashboard").add(
  HttpApiGroup.make("dashboard")
    .add(
      HttpApiEndpoint.get("viewer", "/api/v2/dashboard/viewer", { success: Viewer }).annotate(
        OpenApi.Summary,
        "Tell who the token belongs to"
      ),
      HttpApiEndpoint.get("agents", "/api/v2/dashboard/agents", {
        query: {
          search: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200), isStorable)),
          sort: Schema.optionalKey(SortKey),
          order: Schema.optionalKey(Schema.Literals(["asc", "desc"])),
          offset: Schema.optionalKey(count(10_000_000)),
          limit: Schema.optionalKey(count(maxPage))
        },
        success: Schema.Struct({ total: Schema.Int, agents: Schema.Array(AgentSummary) }),
        error: AgentsUnavailable
      }).annotate(OpenApi.Summary, "Find agents, a page at a time"),
      HttpApiEndpoint.get("agent", "/api/v2/dashboard/agents/:agent", {
        params: { agent: AgentId },
        success: AgentDetails,
        error: [AgentNotFound, AccessUnavailable, AgentsUnavailable]
      }).annotate(OpenApi.Summary, "Read what is known of an agent, with the last connections to it")
    )
    .middleware(ReaderAuthentication)
    .middleware(RequestValidation)
)

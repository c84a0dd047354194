/** The contract of the dashboard: the state of the service, once or live, and the agents that a person may see. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { AccessUnavailable, AgentNotFound } from "../access/AccessError.ts"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { AgentId } from "../domain/Ids.ts"
import { AgentDetails, AgentSummary, SortKey } from "./AgentCatalog.ts"
import { Overview, Point } from "../operations/Overview.ts"

/** Agents cannot be looked up now. */
export class AgentsUnavailable extends Schema.TaggedError<AgentsUnavailable>()(
  "AgentsUnavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}

/** Who calls. */
const Viewer = Schema.Struct({ username: Schema.String, is_admin: Schema.Boolean })

/** The points of the last ten minutes, and then an overview a second. */
export const OverviewSse = Schema.Union([
  Schema.Struct({ event: Schema.Literal("history"), data: Schema.fromJsonString(Schema.Array(Point)) }),
  Schema.Struct({ event: Schema.Literal("overview"), data: Schema.fromJsonString(Overview) })
])

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
      HttpApiEndpoint.get("overview", "/api/v2/dashboard/overview", { success: Overview }).annotate(
        OpenApi.Summary,
        "Read the state of the service"
      ),
      HttpApiEndpoint.get("watch", "/api/v2/dashboard/watch-overview", {
        success: HttpApiSchema.StreamSse({ events: OverviewSse })
      }).annotate(OpenApi.Summary, "Watch the state of the service, as server-sent events"),
      HttpApiEndpoint.get("agents", "/api/v2/dashboard/agents", {
        query: {
          search: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))),
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
    .middleware(HttpApiMiddleware.ProblemDetails)
)

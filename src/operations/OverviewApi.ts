/** The contract of the overview: the state of the service, once or live. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { RequestValidation } from "../platform/ErrorResponse.ts"
import { ranges } from "./History.ts"
import { Overview, Point } from "./Overview.ts"

/** The points of the last ten minutes, then an overview per second. */
export const OverviewSse = Schema.Union([
  Schema.Struct({ event: Schema.Literal("history"), data: Schema.fromJsonString(Schema.Array(Point)) }),
  Schema.Struct({ event: Schema.Literal("overview"), data: Schema.fromJsonString(Overview) })
])

export const OverviewApi = HttpApi.make("overview").add(
  HttpApiGroup.make("overview")
    .add(
      HttpApiEndpoint.get("overview", "/api/v2/dashboard/overview", { success: Overview }).annotate(
        OpenApi.Summary,
        "Read the state of the service"
      ),
      HttpApiEndpoint.get("history", "/api/v2/dashboard/history", {
        query: { range: Schema.Literals(ranges) },
        success: Schema.Array(Point)
      }).annotate(OpenApi.Summary, "Read the points of the plots, of ten minutes up to a day"),
      HttpApiEndpoint.get("watch", "/api/v2/dashboard/watch-overview", {
        success: HttpApiSchema.StreamSse({ events: OverviewSse })
      }).annotate(OpenApi.Summary, "Watch the state of the service, as server-sent events")
    )
    .middleware(ReaderAuthentication)
    .middleware(RequestValidation)
)

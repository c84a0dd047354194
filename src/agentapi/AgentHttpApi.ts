/**
 * The routes of agents, and of the programs beside them, over plain HTTP.
 *
 * An error response is `{message, detail?, validations?}`, as the programs of the original read it.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AgentAuthentication } from "../access/Authentication.ts"
import { fields, RequestValidation } from "../platform/ErrorResponse.ts"
import { UserId, WorkspaceId } from "../domain/Ids.ts"

const me = "/api/v2/workspaceagents/me"

const curl = [
  "Keys that are not declared are named in the response. In one line:",
  "",
  "```sh",
  `curl -H "Coder-Session-Token: $TOKEN" -H "Content-Type: application/json" -d '{"cpu": "42 %"}' $URL${me}/metadata`,
  "```"
].join("\n")

/** The address where an agent declares keys. */
export const declarePath = `${me}/metadata-keys`

// one class per status: the class of an error selects its status
class InvalidBody extends Schema.TaggedError<InvalidBody>()("Refused", fields, { httpApiStatus: 400 }) {}
class NotAllowed extends Schema.TaggedError<NotAllowed>()("Refused", fields, { httpApiStatus: 403 }) {}
class NothingThere extends Schema.TaggedError<NothingThere>()("Refused", fields, { httpApiStatus: 404 }) {}
export class NotPrebuilt extends Schema.TaggedError<NotPrebuilt>()("Refused", fields, { httpApiStatus: 409 }) {}
class NoRoom extends Schema.TaggedError<NoRoom>()("Refused", fields, { httpApiStatus: 503 }) {}
class LimitReached extends Schema.TaggedError<LimitReached>()("Refused", fields, { httpApiStatus: 413 }) {}

/** The provider that an agent asks for: by its id, or by the URL that it has to match. */
const providerQuery = {
  match: Schema.optionalKey(Schema.String),
  /** The name of `match` in older agents. */
  url: Schema.optionalKey(Schema.String),
  id: Schema.optionalKey(Schema.String),
  /** Accepted and ignored: there is no sign-in to wait for. */
  listen: Schema.optionalKey(Schema.String)
}
export type ProviderQuery = Schema.Struct.Type<Pick<typeof providerQuery, "match" | "url" | "id">>

/** The events of an agent that waits for the claim of its prebuilt workspace. A ping is its `event` line alone. */
export const ClaimSse = Schema.Union([
  Schema.Struct({
    event: Schema.Literal("data"),
    data: Schema.fromJsonString(
      Schema.Struct({ workspace_id: WorkspaceId, reason: Schema.Literal("prebuild_claimed"), owner_id: UserId })
    )
  }),
  Schema.Struct({ event: Schema.Literal("ping"), data: Schema.Literal("") })
])
export type ClaimSse = typeof ClaimSse.Type

export const AgentHttpApi = HttpApi.make("agent-http")
  .add(
    HttpApiGroup.make("agent-http")
      .add(
        HttpApiEndpoint.post("metadata", `${me}/metadata`, {
          success: [HttpApiSchema.NoContent, Schema.Struct({ undeclared: Schema.Array(Schema.String) })],
          error: [InvalidBody, NoRoom]
        })
          .annotate(
            OpenApi.Summary,
            'Report values of keys as {"cpu": "42 %"}, or samples as the calls of an agent have them'
          )
          .annotate(OpenApi.Description, curl),
        HttpApiEndpoint.post("declareKeys", declarePath, {
          success: HttpApiSchema.NoContent,
          error: [InvalidBody, NotAllowed]
        }).annotate(
          OpenApi.Summary,
          'Declare keys as {"keys": [{"key": "cpu", "interval": 10}]}, if the service lets agents do so'
        ),
        HttpApiEndpoint.post("logSource", `${me}/log-source`, {
          success: Schema.Unknown.pipe(HttpApiSchema.status(201)),
          error: [InvalidBody]
        }).annotate(OpenApi.Summary, "Name a source of log lines"),
        HttpApiEndpoint.patch("logs", `${me}/logs`, {
          success: Schema.Null,
          error: [InvalidBody, LimitReached]
        }).annotate(OpenApi.Summary, "Append log lines"),
        HttpApiEndpoint.patch("appStatus", `${me}/app-status`, {
          success: Schema.Null,
          error: [InvalidBody]
        }).annotate(OpenApi.Summary, "Say what an app is doing"),
        HttpApiEndpoint.get("reinit", `${me}/reinit`, {
          query: {
            /** Accepted and ignored: the response always waits for the claim. */
            wait: Schema.optionalKey(Schema.String)
          },
          success: HttpApiSchema.StreamSse({ events: ClaimSse }),
          error: [NotPrebuilt]
        }).annotate(OpenApi.Summary, "Wait for the claim of a prebuilt workspace, as server-sent events"),
        HttpApiEndpoint.get("gitSshKey", `${me}/gitsshkey`, { error: [NothingThere] }).annotate(
          OpenApi.Summary,
          "Read the SSH key for git"
        ),
        HttpApiEndpoint.get("externalAuth", `${me}/external-auth`, {
          query: providerQuery,
          error: [InvalidBody, NothingThere]
        }).annotate(OpenApi.Summary, "Read the credentials of an external provider"),
        HttpApiEndpoint.get("gitAuth", `${me}/gitauth`, {
          query: providerQuery,
          error: [InvalidBody, NothingThere]
        }).annotate(OpenApi.Summary, "Read the credentials of an external provider, by the older name")
      )
      .middleware(AgentAuthentication)
      .middleware(RequestValidation)
  )
  .add(
    HttpApiGroup.make("build").add(
      HttpApiEndpoint.get("info", "/api/v2/buildinfo", { success: Schema.Unknown }).annotate(
        OpenApi.Summary,
        "Read which release of the API is served"
      ),
      HttpApiEndpoint.get("latency", "/derp/latency-check", {
        success: Schema.Void.pipe(HttpApiSchema.status(200))
      }).annotate(OpenApi.Summary, "Measure the latency of the service")
    )
  )

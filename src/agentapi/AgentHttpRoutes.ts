/**
 * The handlers of {@link AgentHttpApi}: the calls of agents, for programs that can only send HTTP.
 *
 * - They run the handlers of the agent's calls, for the agent of the token. No connection is recorded.
 * - Metadata may also be an object of values by key. The response names keys that the agent has not declared. A request
 *   with undeclared keys alone fails, and so does one of which the batcher dropped something.
 * - An agent whose workspace is not prebuilt gets 409 when it asks for the claim. See {@link PrebuildClaim}.
 * - The service has no SSH keys and no external providers. It says so in the words of the original's programs, which then
 *   continue without them.
 */
import { DateTime, Effect, Layer, Predicate, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import * as Authentication from "../access/Authentication.ts"
import { LogSourceId, nil } from "../domain/Ids.ts"
import * as MetadataReport from "../domain/MetadataReport.ts"
import { OptionalText, optionalText, PostgresText } from "../domain/PostgresText.ts"
import * as Utf8 from "../domain/Utf8.ts"
import { isPrebuild } from "../domain/Workspace.ts"
import { layerRequestValidation } from "../platform/ErrorResponse.ts"
import * as EventStream from "../platform/EventStream.ts"
import * as AgentHandlers from "./AgentHandlers.ts"
import { AgentHttpApi, NotPrebuilt, type ProviderQuery } from "./AgentHttpApi.ts"
import * as AgentSockets from "./AgentSockets.ts"
import * as ApiVersion from "./ApiVersion.ts"
import * as Metadata from "./calls/Metadata.ts"
import { body, bodyAs, invalid, Refused, refusalOf, unavailable } from "./internal/refused.ts"
import * as KeyDeclarations from "./KeyDeclarations.ts"
import * as PrebuildClaim from "./PrebuildClaim.ts"
import * as SessionCalls from "./internal/sessionCalls.ts"
import { LogStore } from "./ports/LogStore.ts"
import { ManifestStore } from "./ports/ManifestStore.ts"
import * as AgentSession from "./session/AgentSession.ts"

/** The release of the original whose API is served. Programs select their requests by it. */
export const release = "v2.35.0+metadata-batcher"

const LogSource = Schema.Struct({ id: LogSourceId, display_name: PostgresText, icon: optionalText(2_048) })

/** Log lines of older programs: levels are in lower case, and the source may be absent. */
const LogLines = Schema.Struct({
  log_source_id: Schema.optionalKey(LogSourceId),
  logs: Schema.NonEmptyArray(
    Schema.Struct({
      created_at: Schema.optionalKey(Schema.String),
      output: Schema.String,
      level: Schema.optionalKey(Schema.Literals(["", "trace", "debug", "info", "warn", "error"]))
    })
  )
})

const AppStatus = Schema.Struct({
  app_slug: Schema.String,
  state: Schema.Literals(["working", "idle", "complete", "failure"]),
  message: OptionalText,
  uri: OptionalText
})

const Values = Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite, Schema.Boolean]))

/** Samples in the form of the agent's calls, or values by key. */
type Report = Metadata.BatchUpdateMetadataRequest | typeof Values.Type

const isSamples = (report: unknown): report is Metadata.BatchUpdateMetadataRequest =>
  Predicate.hasProperty(report, "metadata") && Array.isArray(report.metadata)

const reportOf = (json: unknown): Schema.Codec<Report, unknown> =>
  isSamples(json) ? Metadata.BatchUpdateMetadataRequest : Values

const handlers = HttpApiBuilder.group(
  AgentHttpApi,
  "agent-http",
  Effect.fnUntraced(function* (handlers) {
    const store = yield* LogStore
    const declareKeys = yield* KeyDeclarations.make
    const declarations = yield* ManifestStore
    const claimOf = yield* PrebuildClaim.make
    const { addValid } = yield* Metadata.make
    const appendLogs = yield* callOf("BatchCreateLogs")
    const setAppStatus = yield* callOf("UpdateAppStatus")
    const report = yield* callOf("BatchUpdateMetadata")

    return handlers
      .handleRaw("metadata", () =>
        responding(
          Effect.gen(function* () {
            const agent = yield* Authentication.CurrentAgent
            const samples = samplesOf(yield* bodyAs(reportOf))
            const declared = yield* Effect.mapError(declarations.declaredKeys(agent.identity.agentId), unavailable)
            const keys = [...new Set(samples.map(({ key }) => key))]
            const undeclared = keys.filter((key) => !declared.has(key))
            if (keys.length > 0 && undeclared.length === keys.length) {
              return yield* new Refused({
                status: 400,
                message: "no key of the report is declared for this agent",
                validations: undeclared
                  .slice(0, 100)
                  .map((field) => ({ field, detail: "is not declared for this agent" }))
              })
            }
            const tooLong = samples.find(({ value }) => Utf8.exceeds(value, MetadataReport.maxValueBytes))
            if (tooLong !== undefined) {
              return yield* invalid(tooLong.key, `must have at most ${MetadataReport.maxValueBytes} bytes`)
            }
            const request = { metadata: samples.map(({ error, key, value }) => ({ key, result: { value, error } })) }
            const session = AgentSession.ofRequest({ ...agent, apiVersion: ApiVersion.first }, declared)
            const dropped = yield* addValid(session, request)
            // a report that is too large fails in its call, which returns the error
            if (dropped < 0) yield* report(request, declared)
            if (dropped > 0) return yield* noRoom(dropped)
            return undeclared.length === 0
              ? HttpServerResponse.empty({ status: 204 })
              : HttpServerResponse.jsonUnsafe({ undeclared: undeclared.slice(0, 100) })
          })
        )
      )
      .handleRaw("declareKeys", () => responding(declareKeys))
      .handleRaw("logSource", () =>
        responding(
          Effect.gen(function* () {
            const { identity } = yield* Authentication.CurrentAgent
            const { display_name, icon, id } = yield* body(LogSource)
            if (display_name.length > 127) return yield* invalid("display_name", "must have at most 127 characters")
            const createdAt = yield* Effect.mapError(
              store.addSource(identity.agentId, { id, displayName: display_name, icon }),
              unavailable
            )
            return HttpServerResponse.jsonUnsafe(
              {
                workspace_agent_id: identity.agentId,
                id,
                created_at: DateTime.formatIso(createdAt),
                display_name,
                icon
              },
              { status: 201 }
            )
          })
        )
      )
      .handleRaw("logs", () =>
        responding(
          Effect.gen(function* () {
            const { log_source_id, logs } = yield* body(LogLines)
            const { log_limit_exceeded } = yield* appendLogs({
              log_source_id: log_source_id ?? nil,
              logs: logs.map(({ level = "", output }) => ({
                output,
                ...(level === "" ? {} : { level: level.toUpperCase() })
              }))
            })
            if (log_limit_exceeded) {
              return yield* new Refused({ status: 413, message: "the agent has logged as much as it may" })
            }
            return nothing
          })
        )
      )
      .handleRaw("appStatus", () =>
        responding(
          Effect.gen(function* () {
            const { app_slug, message, state, uri } = yield* body(AppStatus)
            yield* setAppStatus({ slug: app_slug, state: state.toUpperCase(), message, uri })
            return nothing
          })
        )
      )
      .handle(
        "reinit",
        Effect.fnUntraced(function* () {
          const { workspace } = (yield* Authentication.CurrentAgent).identity
          if (!isPrebuild(workspace)) {
            return yield* new NotPrebuilt({ message: "this agent is not that of a prebuilt workspace" })
          }
          yield* EventStream.prepare
          return claimOf(workspace)
        })
      )
      .handleRaw("gitSshKey", () => refuse(404, "the service has no SSH keys for git"))
      .handleRaw("externalAuth", refuseProvider)
      .handleRaw("gitAuth", refuseProvider)
  })
)

const build = HttpApiBuilder.group(AgentHttpApi, "build", (handlers) =>
  handlers
    .handleRaw("info", ({ request }) =>
      Effect.succeed(
        HttpServerResponse.jsonUnsafe({
          external_url: "https://github.com/coder/coder",
          version: release,
          dashboard_url: `http://${request.headers["host"] ?? "localhost"}`,
          telemetry: false,
          workspace_proxy: false,
          agent_api_version: ApiVersion.format(ApiVersion.current),
          provisioner_api_version: "1.0",
          upgrade_message: "",
          deployment_id: ""
        })
      )
    )
    .handleRaw("latency", () => Effect.succeed(HttpServerResponse.empty({ status: 200 })))
)

export const layer = HttpApiBuilder.layer(AgentHttpApi).pipe(
  Layer.provide([handlers, build]),
  Layer.provide([AgentHandlers.layer, Authentication.layerAgent, layerRequestValidation]),
  Layer.provide(AgentSockets.layer)
)

// ----- internals -----

const nothing = HttpServerResponse.jsonUnsafe(null)

const refuse = (status: number, message: string) => Effect.succeed(new Refused({ status, message }).response)

/** Returns the original's response when no external provider is configured. An older agent sends `url` as the match. */
const noProvider = ({ id = "", match = "", url = "" }: ProviderQuery) => {
  const wanted = match || url
  if (wanted === "" && id === "") return new Refused({ status: 400, message: "'url' or 'id' must be provided!" })
  if (wanted !== "" && id !== "") {
    return new Refused({ status: 400, message: "'url' and 'id' cannot be provided together!" })
  }
  return new Refused({
    status: 404,
    message: `No matching external auth provider found in Coder for the url ${JSON.stringify(wanted)}.`,
    detail: "External auth provider not found."
  })
}

const refuseProvider = ({ query }: { readonly query: ProviderQuery }) => Effect.succeed(noProvider(query).response)

const noRoom = (dropped: number) =>
  new Refused({
    status: 503,
    message: `${dropped} values were dropped because there is no room for them: report them again later`
  })

/** Returns the response of an endpoint, or the response of its error. */
const responding = <R>(effect: Effect.Effect<HttpServerResponse.HttpServerResponse, Refused, R>) =>
  Effect.catch(effect, ({ response }) => Effect.succeed(response))

/** Makes a call of the contract for the agent of the request. */
const callOf = <const Tag extends SessionCalls.Tag>(tag: Tag) =>
  Effect.map(
    SessionCalls.handlerOf(tag),
    (handle) => (payload: unknown, declaredKeys?: MetadataReport.DeclaredKeys) =>
      Effect.flatMap(Authentication.CurrentAgent, (agent) =>
        Effect.mapError(
          handle(AgentSession.ofRequest({ ...agent, apiVersion: ApiVersion.first }, declaredKeys), payload),
          refusalOf
        )
      )
  )

const samplesOf = (report: Report): ReadonlyArray<MetadataReport.ReportedSample> =>
  isSamples(report)
    ? Metadata.samplesOf(report)
    : Object.entries(report).map(([key, value]) => ({ key, value: String(value), error: "" }))

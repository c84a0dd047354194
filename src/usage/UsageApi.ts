/** The contract through which programs of users report that a workspace, or an app of it, is in use. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AgentNotFound, DirectoryUnavailable, WorkspaceNotFound } from "../access/AccessError.ts"
import { ReaderAuthentication } from "../access/Authentication.ts"
import { RequestValidation } from "../platform/ErrorResponse.ts"
import { AgentId, WorkspaceId } from "../domain/Ids.ts"

/** An app of an agent that is in use, or nothing for the workspace itself. */
const Usage = Schema.Struct({
  agent_id: Schema.optionalKey(AgentId),
  app_name: Schema.optionalKey(Schema.Literals(["vscode", "jetbrains", "reconnecting-pty", "ssh"]))
}).check(
  Schema.makeFilter(
    (usage) =>
      (usage.agent_id === undefined) === (usage.app_name === undefined) || "Expected agent_id and app_name, or neither"
  )
)

export const UsageApi = HttpApi.make("usage").add(
  HttpApiGroup.make("usage")
    .add(
      HttpApiEndpoint.post("mark", "/api/v2/workspaces/:workspace/usage", {
        params: { workspace: WorkspaceId },
        payload: [Usage, Schema.Null],
        success: HttpApiSchema.NoContent,
        error: [WorkspaceNotFound, AgentNotFound, DirectoryUnavailable]
      }).annotate(OpenApi.Summary, "Mark a workspace as in use now")
    )
    .middleware(ReaderAuthentication)
    .middleware(RequestValidation)
)

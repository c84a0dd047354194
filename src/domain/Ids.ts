/**
 * Identifiers of the things that the service works with.
 *
 * Every id is a UUID in its canonical lower-case form. Decoding accepts either case, so that an id is equal to itself
 * as a map key, in a notification and in the database, however a client wrote it.
 *
 * Text from outside is decoded, and a malformed id is a typed error. `make` is for ids that are written in the program
 * itself: it throws on any other text.
 *
 * @example
 * ```ts
 * import { Console, Effect, Schema } from "effect"
 * import { Ids } from "metadata-batcher"
 *
 * const program = Effect.gen(function* () {
 *   yield* Console.log(yield* Schema.decodeEffect(Ids.AgentId)("6C3BDF9E-2F3F-4C1D-9A3E-0D3C5A3F9D10"))
 * })
 * await Effect.runPromise(program)
 * // Output:
 * // 6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10
 * ```
 */
import { Schema, SchemaTransformation } from "effect"
import * as PlainIds from "./PlainIds.ts"

/** A UUID, in lower case once decoded. */
export const Uuid = Schema.String.pipe(
  Schema.decode(SchemaTransformation.toLowerCase()),
  Schema.check(Schema.isPattern(PlainIds.pattern, { expected: "a UUID" }))
)

/** A workspace agent: the process that reports metadata. */
export const AgentId = Uuid.pipe(Schema.brand("AgentId"))
export type AgentId = typeof AgentId.Type

/** A workspace: agents belong to it, and one user owns it. */
export const WorkspaceId = Uuid.pipe(Schema.brand("WorkspaceId"))
export type WorkspaceId = typeof WorkspaceId.Type

/** A run of a workspace's template; agents belong to the build that created them. */
export const BuildId = Uuid.pipe(Schema.brand("BuildId"))
export type BuildId = typeof BuildId.Type

/** A person, or the service's own administrator. */
export const UserId = Uuid.pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type

/** A tenant: templates and workspaces belong to one. */
export const OrganizationId = Uuid.pipe(Schema.brand("OrganizationId"))
export type OrganizationId = typeof OrganizationId.Type

/** A template, from which workspaces are built. */
export const TemplateId = Uuid.pipe(Schema.brand("TemplateId"))
export type TemplateId = typeof TemplateId.Type

/** A version of a template: each build is made from one. */
export const TemplateVersionId = Uuid.pipe(Schema.brand("TemplateVersionId"))
export type TemplateVersionId = typeof TemplateVersionId.Type

/** A program that an agent runs for people. */
export const AppId = Uuid.pipe(Schema.brand("AppId"))
export type AppId = typeof AppId.Type

/** A script that an agent runs at its start, at its end or now and then. */
export const ScriptId = Uuid.pipe(Schema.brand("ScriptId"))
export type ScriptId = typeof ScriptId.Type

/** A source of logs: a script or an external program. The nil id stands for an external program. */
export const LogSourceId = Uuid.pipe(Schema.brand("LogSourceId"))
export type LogSourceId = typeof LogSourceId.Type

/** A session of a user with an agent. The agent assigns the id. */
export const UserSessionId = Uuid.pipe(Schema.brand("UserSessionId"))
export type UserSessionId = typeof UserSessionId.Type

/** A process of the service. */
export const ReplicaId = Uuid.pipe(Schema.brand("ReplicaId"))
export type ReplicaId = typeof ReplicaId.Type

/** The id that stands for none. */
export const nil = "00000000-0000-0000-0000-000000000000"

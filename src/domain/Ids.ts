/**
 * Identifiers of the things that the service speaks of.
 *
 * Every id is a UUID in its canonical lower-case form: decoding accepts either case, so that an id is equal to itself
 * as a map key, in a notification and in the database whichever way a client wrote it.
 */
import { Schema, SchemaTransformation } from "effect"

const Uuid = Schema.String.pipe(
  Schema.decode(SchemaTransformation.toLowerCase()),
  Schema.check(
    Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, { expected: "a UUID" })
  )
)

/** A workspace agent: the process that reports metadata. */
export const AgentId = Uuid.pipe(Schema.brand("AgentId"))
export type AgentId = typeof AgentId.Type

/** A workspace: what agents belong to, owned by one user. */
export const WorkspaceId = Uuid.pipe(Schema.brand("WorkspaceId"))
export type WorkspaceId = typeof WorkspaceId.Type

/** A run of a workspace's template; agents belong to the build that made them. */
export const BuildId = Uuid.pipe(Schema.brand("BuildId"))
export type BuildId = typeof BuildId.Type

/** A person, or the service's own administrator. */
export const UserId = Uuid.pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type

/** A tenant: templates and workspaces belong to one. */
export const OrganizationId = Uuid.pipe(Schema.brand("OrganizationId"))
export type OrganizationId = typeof OrganizationId.Type

/** What workspaces are built from. */
export const TemplateId = Uuid.pipe(Schema.brand("TemplateId"))
export type TemplateId = typeof TemplateId.Type

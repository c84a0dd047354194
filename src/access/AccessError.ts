/**
 * The errors with which the service ends a request.
 *
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Forbidden } from "metadata-batcher/AccessError"
 *
 * const program = Effect.catchTag(Effect.fail(new Forbidden({ message: "you may not read this agent" })), "Forbidden", (error) =>
 *   Console.log(error.message)
 * )
 * await Effect.runPromise(program)
 * // Output:
 * // you may not read this agent
 * ```
 */
import { Schema } from "effect"
import { failWith } from "../domain/StoreError.ts"

const fields = { message: Schema.String }

/** The request has no valid token. */
export class Unauthenticated extends Schema.TaggedError<Unauthenticated>()("Unauthenticated", fields, {
  httpApiStatus: 401
}) {}

/** The caller is identified, but does not have the right. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", fields, { httpApiStatus: 403 }) {}

/** There is no such agent, or the caller may not know of it. */
export class AgentNotFound extends Schema.TaggedError<AgentNotFound>()("AgentNotFound", fields, {
  httpApiStatus: 404
}) {}

/** The caller has too many connections open. */
export class TooManyConnections extends Schema.TaggedError<TooManyConnections>()("TooManyConnections", fields, {
  httpApiStatus: 429
}) {}

/** Tokens cannot be looked up now: nobody is identified. */
export class AccessUnavailable extends Schema.TaggedError<AccessUnavailable>()("AccessUnavailable", fields, {
  httpApiStatus: 503
}) {}

/** There is no such workspace. */
export class WorkspaceNotFound extends Schema.TaggedError<WorkspaceNotFound>()("WorkspaceNotFound", fields, {
  httpApiStatus: 404
}) {}

/** The directory cannot be read or written now. */
export class DirectoryUnavailable extends Schema.TaggedError<DirectoryUnavailable>()("DirectoryUnavailable", fields, {
  httpApiStatus: 503
}) {}

/** Fails a request whose operation of the directory failed. The cause is only logged. */
export const directoryUnavailable = failWith((message) => new DirectoryUnavailable({ message }))

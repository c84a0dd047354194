/**
 * The first administrator, who creates everyone else.
 *
 * - A token of the settings is the administrator's token from this start on. The one before stays valid for a day, so
 *   that replicas and programs can change over one after the other.
 * - Without one, a token is minted when there is no administrator yet. It is saved before it is valid, and returned this
 *   one time.
 *
 * @example
 * ```ts
 * import { Console, Effect, Layer, Option } from "effect"
 * import { HttpRouter } from "effect/http"
 * import * as Administrator from "metadata-batcher/Administrator"
 * import * as Config from "metadata-batcher/Config"
 * import * as Server from "metadata-batcher/Server"
 *
 * const program = Effect.gen(function* () {
 *   const settings = yield* Config.read()
 *   const Service = Layer.provide(Server.layer(settings), HttpRouter.layer)
 *   const token = yield* Effect.provide(Administrator.ensure(settings.adminToken), Service)
 *   yield* Console.log(Option.isSome(token) ? "a new token was minted" : "there is an administrator")
 * })
 * await Effect.runPromise(program)
 * // Output:
 * // there is an administrator
 * ```
 */
import { Duration, Effect, Option } from "effect"
import * as Token from "../access/Token.ts"
import { Directory } from "./Directory.ts"

/** The name of the first administrator. */
export const username = "admin"

/** Creates the administrator if there is none. Returns the token if it was minted, after `save` has kept it. */
export const ensure = Effect.fn("Administrator.ensure")(function* <E = never, R = never>(
  given: Token.Token | undefined,
  save: (token: Token.Token) => Effect.Effect<void, E, R> = () => Effect.void
) {
  const directory = yield* Directory
  const create = directory.createUser({ username, isAdmin: true }).pipe(
    Effect.as(true),
    Effect.catchTag("NameTaken", () => Effect.succeed(false))
  )
  if (given !== undefined) {
    yield* create
    const predecessor = { name: "environment-previous", lifetime: Duration.days(1) }
    yield* directory.putToken({ username, name: "environment", token: yield* Token.digest(given), predecessor })
    return Option.none()
  }
  const exists = yield* directory.user(username).pipe(
    Effect.as(true),
    Effect.catchTag("UserNotFound", () => Effect.succeed(false))
  )
  if (exists) return Option.none()
  const token = yield* Token.mint
  yield* save(token)
  // another replica may have been faster
  if (!(yield* create)) return Option.none()
  yield* directory.putToken({ username, name: "initial", token: yield* Token.digest(token) })
  return Option.some(token)
})

/** Mints a token of a user, which replaces the one of the same name. */
export const mint = Effect.fn("Administrator.mint")(function* (username: string, name: string) {
  const directory = yield* Directory
  const token = yield* Token.mint
  yield* directory.putToken({ username, name, token: yield* Token.digest(token) })
  return token
})

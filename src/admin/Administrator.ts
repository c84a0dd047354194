/**
 * The first administrator, who creates everyone else.
 *
 * - A token of the settings is the administrator's token from this start on.
 * - Without one, a token is minted when there is no administrator yet, and returned this one time.
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
import { Effect, Option } from "effect"
import * as Token from "../access/Token.ts"
import { Directory } from "./Directory.ts"

/** The name of the first administrator. */
export const username = "admin"

/** Creates the administrator if there is none. Returns the token if it was minted. */
export const ensure = Effect.fn("Administrator.ensure")(function* (given: Token.Token | undefined) {
  const directory = yield* Directory
  const isNew = yield* directory.createUser({ username, isAdmin: true }).pipe(
    Effect.as(true),
    Effect.catchTag("NameTaken", () => Effect.succeed(false))
  )
  if (given !== undefined) {
    yield* directory.putToken({ username, name: "environment", token: yield* Token.digest(given) })
    return Option.none()
  }
  return isNew ? Option.some(yield* mint(username, "initial")) : Option.none()
})

/** Mints a token of a user, which replaces the one of the same name. */
export const mint = Effect.fn("Administrator.mint")(function* (username: string, name: string) {
  const directory = yield* Directory
  const token = yield* Token.mint
  yield* directory.putToken({ username, name, token: yield* Token.digest(token) })
  return token
})

/**
 * Lets agents declare keys, in addition to those that are declared for them.
 *
 * - A key that is declared already keeps its declaration.
 * - An agent has at most {@link maxKeys} keys; a request beyond that declares none.
 */
import { Context, Duration, Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import * as Authentication from "../access/Authentication.ts"
import { PostgresText } from "../domain/PostgresText.ts"
import { body, invalid, Refused, unavailable } from "./internal/refused.ts"
import { ManifestStore } from "./ports/ManifestStore.ts"

/** Whether agents may declare keys. */
export const MayDeclareKeys = Context.Reference<boolean>("metadata-batcher/agentapi/KeyDeclarations/MayDeclareKeys", {
  defaultValue: () => false
})

/** The most keys of an agent that declares some. */
export const maxKeys = 1_000

const name = PostgresText.check(Schema.isNonEmpty(), Schema.isMaxLength(127))
const time = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 31_536_000 }))
const KeyDeclarations = Schema.Struct({
  keys: Schema.NonEmptyArray(
    Schema.Struct({
      key: name,
      display_name: Schema.optionalKey(name),
      interval: time.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
      timeout: time.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0)))
    })
  ).check(
    Schema.isMaxLength(maxKeys),
    Schema.makeFilter((keys) => new Set(keys.map(({ key }) => key)).size === keys.length || "Expected each key once")
  )
})

export const make = Effect.gen(function* () {
  const store = yield* ManifestStore
  const isAllowed = yield* MayDeclareKeys

  return Effect.gen(function* () {
    if (!isAllowed) {
      return yield* new Refused({
        status: 403,
        message: "the service does not let agents declare keys: its setting AGENT_MAY_DECLARE_KEYS does"
      })
    }
    const { identity } = yield* Authentication.CurrentAgent
    const { keys } = yield* body(KeyDeclarations)
    const declared = keys.map(({ display_name, interval, key, timeout }) => ({
      key,
      displayName: display_name ?? key,
      interval: Duration.seconds(interval),
      timeout: Duration.seconds(timeout)
    }))
    const isDeclared = yield* Effect.mapError(store.declareKeys(identity.agentId, declared, maxKeys), unavailable)
    return isDeclared
      ? HttpServerResponse.empty({ status: 204 })
      : yield* invalid("keys", `must leave the agent with at most ${maxKeys} keys`)
  })
})

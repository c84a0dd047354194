/**
 * Tokens by which a client that comes back gets the id that it had.
 *
 * - A token is a JWT (HS512) with the peer's id, and is valid for 24 h.
 * - Keys are in the store, so that every replica takes the tokens of all. A key signs for 7 days, and outlives its last
 *   token.
 */
import { Clock, Context, DateTime, Duration, Effect, Layer, Option, Schema, Semaphore } from "effect"
import { SecureRandom } from "effect/crypto"
import type { StoreError } from "../domain/StoreError.ts"
import { PeerId } from "./Peer.ts"
import { type ResumeKey, ResumeKeyStore } from "./ResumeKeyStore.ts"

export interface ResumeToken {
  readonly token: string
  /** The time after which the client shall request a new one. */
  readonly refreshIn: Duration.Duration
  readonly expiresAt: DateTime.Utc
}

/** The token is none of ours, or has expired. */
export class InvalidResumeToken extends Schema.TaggedError<InvalidResumeToken>()("InvalidResumeToken", {
  reason: Schema.Literals(["malformed", "unknown key", "signature", "expired"])
}) {
  override get message() {
    return `the resume token is not valid: ${this.reason}`
  }
}

export class ResumeTokens extends Context.Service<
  ResumeTokens,
  {
    readonly issue: (id: PeerId) => Effect.Effect<ResumeToken, StoreError>
    /** The id in a token; nothing for a token without a key id, as old servers made them. */
    readonly verify: (token: string) => Effect.Effect<Option.Option<PeerId>, InvalidResumeToken | StoreError>
  }
>()("metadata-batcher/tailnet/ResumeTokens") {}

const validity = Duration.hours(24)
const rotation = Duration.days(7)
/** How long keys are kept before they are read again. */
const readInterval = Duration.toMillis(Duration.minutes(1))
const maxTokenLength = 2_048

const Header = Schema.fromJsonString(
  Schema.Struct({ alg: Schema.String, kid: Schema.optionalKey(Schema.String), typ: Schema.optionalKey(Schema.String) })
)
const Claims = Schema.fromJsonString(Schema.Struct({ sub: PeerId, exp: Schema.Finite }))

export const make = Effect.gen(function* () {
  const store = yield* ResumeKeyStore
  const random = yield* SecureRandom.SecureRandom
  const clock = yield* Clock.Clock
  const oneReader = yield* Semaphore.make(1)
  let known: ReadonlyArray<ResumeKey> = []
  let readAt = -Infinity

  const read = Effect.gen(function* () {
    known = yield* store.keys(yield* DateTime.now)
    readAt = clock.currentTimeMillisUnsafe()
  })
  const isFresh = () => clock.currentTimeMillisUnsafe() - readAt < readInterval

  const signingKey = oneReader.withPermit(
    Effect.gen(function* () {
      const now = yield* DateTime.now
      const since = DateTime.subtractDuration(now, rotation)
      const current = () => known.find(({ startsAt }) => DateTime.isGreaterThan(startsAt, since))
      if (!isFresh() || current() === undefined) yield* read
      if (current() === undefined) {
        const endsAt = DateTime.addDuration(now, Duration.sum(rotation, Duration.times(validity, 2)))
        const key = { id: yield* random.uuidV4(), secret: yield* random.randomBytes(64), startsAt: now, endsAt }
        yield* store.add(key, since)
        yield* read
      }
      return current()!
    })
  )

  const keyOf = (id: string) =>
    oneReader.withPermit(
      Effect.gen(function* () {
        const find = () => known.find((key) => key.id === id)
        if (find() === undefined && !isFresh()) yield* read
        const now = yield* DateTime.now
        const key = find()
        return key !== undefined && DateTime.isGreaterThan(key.endsAt, now) ? key : undefined
      })
    )

  return ResumeTokens.of({
    issue: Effect.fnUntraced(function* (id) {
      const key = yield* signingKey
      const expiresAt = DateTime.addDuration(yield* DateTime.now, validity)
      const exp = Math.floor(DateTime.toEpochMillis(expiresAt) / 1_000)
      const signed = `${toJson({ alg: "HS512", kid: key.id, typ: "JWT" })}.${toJson({ sub: id, exp })}`
      const signature = yield* sign(key, signed)
      return { token: `${signed}.${base64(signature)}`, refreshIn: Duration.divideUnsafe(validity, 2), expiresAt }
    }),
    verify: Effect.fnUntraced(function* (token) {
      const parts = token.split(".")
      const header = decode(Header, parts[0])
      if (token.length > maxTokenLength || parts.length !== 3 || Option.isNone(header))
        return yield* invalid("malformed")
      if (header.value.kid === undefined) return Option.none()
      if (header.value.alg !== "HS512") return yield* invalid("malformed")
      const key = yield* keyOf(header.value.kid)
      if (key === undefined) return yield* invalid("unknown key")
      const isSigned = yield* verify(key, `${parts[0]}.${parts[1]}`, Buffer.from(parts[2]!, "base64url"))
      if (!isSigned) return yield* invalid("signature")
      const claims = decode(Claims, parts[1])
      if (Option.isNone(claims)) return yield* invalid("malformed")
      if (claims.value.exp * 1_000 <= clock.currentTimeMillisUnsafe()) return yield* invalid("expired")
      return Option.some(claims.value.sub)
    })
  })
})

export const layer: Layer.Layer<ResumeTokens, never, ResumeKeyStore | SecureRandom.SecureRandom> = Layer.effect(
  ResumeTokens,
  make
)

// ----- internals -----

const invalid = (reason: InvalidResumeToken["reason"]) => Effect.fail(new InvalidResumeToken({ reason }))

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url")

const toJson = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")

const decode = <A>(schema: Schema.Codec<A, string>, part: string | undefined): Option.Option<A> =>
  Schema.decodeOption(schema)(Buffer.from(part ?? "", "base64url").toString())

const hmac = { name: "HMAC", hash: "SHA-512" } as const

const cryptoKey = (key: ResumeKey, use: "sign" | "verify") =>
  Effect.promise(() => crypto.subtle.importKey("raw", Uint8Array.from(key.secret), hmac, false, [use]))

const sign = (key: ResumeKey, text: string) =>
  Effect.flatMap(cryptoKey(key, "sign"), (imported) =>
    Effect.promise(() => crypto.subtle.sign(hmac, imported, new TextEncoder().encode(text)))
  ).pipe(Effect.map((signature) => new Uint8Array(signature)))

const verify = (key: ResumeKey, text: string, signature: Uint8Array) =>
  Effect.flatMap(cryptoKey(key, "verify"), (imported) =>
    Effect.promise(() =>
      crypto.subtle.verify(hmac, imported, Uint8Array.from(signature), new TextEncoder().encode(text))
    )
  )

/**
 * Tokens that agents and people show.
 *
 * - A token is 256 random bits, as 43 characters that need no quoting in a header or an address.
 * - Only its SHA-256 digest is stored. A digest without salt is enough, because a token cannot be guessed.
 * - A token can have others derived from it. They are the same each time, no one can be told without the token that it is
 *   derived from, and none tells anything of that token, or of another one derived from it.
 * - Tokens are `Redacted`: they do not show in logs.
 */
import { Effect, Redacted } from "effect"
import { Digest, Mac, SecureRandom } from "effect/crypto"
import { Base64Url } from "effect/encoding"

export type Token = Redacted.Redacted<string>

export type TokenDigest = Uint8Array

/** The header that carries a token; `Authorization: Bearer` does too. */
export const header = "coder-session-token"

/** The query parameter that carries a token where no header can be set, as in an event stream of a browser. */
export const parameter = "coder_session_token"

/** A token that nobody has ever had. */
export const mint: Effect.Effect<Token, never, SecureRandom.SecureRandom> = Effect.map(
  SecureRandom.SecureRandom.use((random) => random.randomBytes(32)),
  (bytes) => Redacted.make(Base64Url.encode(bytes), { label: "token" })
)

/** The token that belongs to `token` for a purpose. Only an empty token has none. */
export const derive = Effect.fnUntraced(function* (
  token: Token,
  purpose: string
): Effect.fn.Return<Token, never, Mac.Mac> {
  const mac = yield* Mac.Mac
  const key = yield* Effect.orDie(Mac.key(Mac.hmacSha256, bytesOf(Redacted.value(token))))
  const tag = yield* Effect.orDie(mac.sign(key, bytesOf(purpose)))
  return Redacted.make(Base64Url.encode(tag), { label: "token" })
})

/** What is stored of a token. */
export const digest = (token: Token): Effect.Effect<TokenDigest, never, Digest.Digest> =>
  Digest.Digest.use((digest) => digest.digest(Digest.sha256, bytesOf(Redacted.value(token))))

/** Whether two digests are those of the same token, in a time that does not tell how much of them is equal. */
export const isSame = (a: TokenDigest, b: TokenDigest): boolean => Mac.timingSafeEqual(a, b)

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

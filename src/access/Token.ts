/**
 * Tokens that agents and people show.
 *
 * - A token is 256 random bits, as 43 characters that need no quoting in a header or an address.
 * - Only its SHA-256 digest is stored. A digest without salt is enough, because a token cannot be guessed.
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

/** What is stored of a token. */
export const digest = (token: Token): Effect.Effect<TokenDigest, never, Digest.Digest> =>
  Digest.Digest.use((digest) => digest.digest(Digest.sha256, new TextEncoder().encode(Redacted.value(token))))

/** Whether two digests are those of the same token, in a time that does not tell how much of them is equal. */
export const isSame = (a: TokenDigest, b: TokenDigest): boolean => Mac.timingSafeEqual(a, b)

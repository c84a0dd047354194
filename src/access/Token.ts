/**
 * Tokens that identify agents and users.
 *
 * - A token is 256 random bits, as 43 characters that need no quoting in a header or an address.
 * - Only its SHA-256 digest is stored. A digest without salt is enough, because a token cannot be guessed.
 * - Tokens of the original are UUIDs, in any of the forms of a UUID.
 * - Other tokens can be derived from a token. A derived token is the same each time, and cannot be computed without the
 *   token that it is derived from.
 * - A derived token reveals nothing about the token that it is derived from, or about another token derived from it.
 * - Tokens are `Redacted`: they do not show in logs.
 *
 * @example
 * ```ts
 * import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
 * import { Console, Effect } from "effect"
 * import * as Token from "metadata-batcher/Token"
 *
 * const program = Effect.gen(function* () {
 *   const token = yield* Token.mint
 *   const stored = yield* Token.digest(token)
 *   yield* Console.log(String(token), Token.isSame(stored, yield* Token.digest(token)))
 * })
 * await Effect.runPromise(Effect.provide(program, NodeCrypto.layer))
 * // Output:
 * // <redacted:token> true
 * ```
 */
import { Effect, Redacted } from "effect"
import { Digest, Mac, SecureRandom } from "effect/crypto"
import { Base64Url, Hex } from "effect/encoding"

/** A token, which shows neither in logs nor in errors. */
export type Token = Redacted.Redacted<string>

/** The SHA-256 digest of a token, which is what stores keep. */
export type TokenDigest = Uint8Array

/** The header that carries a token; `Authorization: Bearer` does too. */
export const header = "coder-session-token"

/**
 * The cookie and the query parameter of agents of older releases. The query parameter also carries a token if no header
 * can be set, such as in an event stream of a browser.
 */
export const parameter = "coder_session_token"

/** Makes a new random token. */
export const mint: Effect.Effect<Token, never, SecureRandom.SecureRandom> = Effect.map(
  SecureRandom.SecureRandom.use((random) => random.randomBytes(32)),
  (bytes) => Redacted.make(Base64Url.encode(bytes), { label: "token" })
)

/**
 * Derives a token from `token` for a purpose. Only an empty token has no derived token. The derived token is a UUID
 * with 122 bits, because the original's protocol carries 16 bytes.
 */
export const derive = Effect.fnUntraced(function* (
  token: Token,
  purpose: string
): Effect.fn.Return<Token, never, Mac.Mac> {
  const mac = yield* Mac.Mac
  const key = yield* Effect.orDie(Mac.key(Mac.hmacSha256, bytesOf(Redacted.value(token))))
  const tag = yield* Effect.orDie(mac.sign(key, bytesOf(purpose)))
  const bytes = tag.slice(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return Redacted.make(hyphenated(Hex.encode(bytes)), { label: "token" })
})

/** Returns the digest that is stored for a token. All forms of a UUID are the same token. */
export const digest = (token: Token): Effect.Effect<TokenDigest, never, Digest.Digest> =>
  Digest.Digest.use((digest) => digest.digest(Digest.sha256, bytesOf(canonical(Redacted.value(token)))))

/** Whether two digests belong to the same token. The comparison takes the same time wherever the digests differ. */
export const isSame = (a: TokenDigest, b: TokenDigest): boolean => Mac.timingSafeEqual(a, b)

const uuid = /^(?:urn:uuid:|\{)?([\da-f]{8})-?([\da-f]{4})-?([\da-f]{4})-?([\da-f]{4})-?([\da-f]{12})\}?$/i

/** Returns a UUID in its canonical form, and any other text unchanged. */
const canonical = (token: string): string => {
  const parts = uuid.exec(token)
  return parts === null ? token : parts.slice(1).join("-").toLowerCase()
}

const hyphenated = (digits: string): string => digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/**
 * Splits the apps requested for a sub-agent into those that can be created and the problems of the others.
 *
 * - The slug of an app must be unique within the request, its enum values must be known, and no text may be too long.
 * - The stored slug has a prefix, a hash of the agent's name and the slug, so that agents of one workspace may use the
 *   same slug.
 * - An app is never shared more widely than the template allows.
 */
import { Effect, Schema } from "effect"
import { Digest } from "effect/crypto"
import { Hex } from "effect/encoding"
import { OptionalText } from "../../domain/PostgresText.ts"
import { type App, type SharingLevel, sharingLevels } from "../ports/SubAgentStore.ts"

/** The longest slug, in characters: the stored slug is looked up by an index. */
const maxSlug = 255

/** The longest other text of an app, in characters. */
const maxText = 2_048

const optional = <S extends Schema.Top>(schema: S, fallback: S["Type"]) =>
  schema.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(fallback)))

const int32 = (minimum: number) =>
  optional(
    Schema.Int.check(
      Schema.isBetween(
        { minimum, maximum: 2_147_483_647 },
        { expected: `a whole number from ${minimum} to 2147483647` }
      )
    ),
    0
  )

const Flag = optional(Schema.Boolean, false)

/** An app of a request. Problems of a single app are found later. */
export const RequestedApp = Schema.Struct({
  slug: OptionalText,
  command: OptionalText,
  display_name: OptionalText,
  external: Flag,
  group: OptionalText,
  healthcheck: Schema.optionalKey(Schema.Struct({ url: OptionalText, interval: int32(0), threshold: int32(0) })),
  hidden: Flag,
  icon: OptionalText,
  /** SLIM_WINDOW or TAB. */
  open_in: optional(Schema.String, "SLIM_WINDOW"),
  order: int32(-2_147_483_648),
  /** OWNER, AUTHENTICATED, PUBLIC or ORGANIZATION. */
  share: optional(Schema.String, "OWNER"),
  subdomain: Flag,
  url: OptionalText
})
export type RequestedApp = typeof RequestedApp.Type

/** An app that was not created, and why. */
export const AppCreationError = Schema.Struct({
  /** Its place in the request. */
  index: Schema.Int,
  /** The field with the problem, if it is one of the fields. */
  field: Schema.optionalKey(Schema.String),
  error: Schema.String
})
export type AppCreationError = typeof AppCreationError.Type

/** Returns the problem of an app, regardless of the other apps. */
const problemOf = ({
  healthcheck,
  open_in,
  share,
  slug,
  ...texts
}: RequestedApp): Omit<AppCreationError, "index"> | undefined => {
  if (slug === "") return { field: "slug", error: "must not be empty" }
  if (slug.length > maxSlug) return { field: "slug", error: `must have at most ${maxSlug} characters` }
  if (!slugPattern.test(slug)) {
    return { field: "slug", error: "must be lower-case letters and digits, in parts with a dash between them" }
  }
  const long = [...Object.entries(texts), ["healthcheck.url", healthcheck?.url] as const].find(
    ([, text]) => typeof text === "string" && text.length > maxText
  )
  if (long !== undefined) return { field: long[0], error: `must have at most ${maxText} characters` }
  if (!isKey(shares, share)) return { field: "share", error: `must be one of ${Object.keys(shares).join(", ")}` }
  if (!isKey(openIns, open_in)) return { field: "open_in", error: `must be one of ${Object.keys(openIns).join(", ")}` }
  return undefined
}

/** Returns the apps that can be created, with their places in the request, and the problems of the others. */
export const accept = (requested: ReadonlyArray<RequestedApp>) => {
  const accepted: Array<{ readonly index: number; readonly app: RequestedApp }> = []
  const errors: Array<AppCreationError> = []
  const slugs = new Set<string>()
  for (const [index, app] of requested.entries()) {
    const problem =
      problemOf(app) ??
      (slugs.has(app.slug) ? { field: "slug", error: "is that of another app of the request" } : undefined)
    if (problem === undefined) {
      slugs.add(app.slug)
      accepted.push({ index, app })
    } else errors.push({ index, ...problem })
  }
  return { accepted, errors }
}

/** Whether an app asks to be visible to more people than its owner. */
export const isShared = ({ share }: RequestedApp): boolean => share !== "OWNER"

/** Returns the stored form of an accepted app; `limit` is the widest sharing level that the template allows. */
export const stored = Effect.fnUntraced(function* (
  app: RequestedApp,
  agentName: string,
  limit: SharingLevel
): Effect.fn.Return<App, never, Digest.Digest> {
  const { healthcheck = { url: "", interval: 0, threshold: 0 } } = app
  const share = isKey(shares, app.share) ? shares[app.share] : "owner"
  return {
    slug: yield* storedSlug(agentName, app.slug),
    command: app.command,
    displayName: app.display_name,
    displayGroup: app.group,
    displayOrder: app.order,
    external: app.external,
    hidden: app.hidden,
    icon: app.icon,
    openIn: isKey(openIns, app.open_in) ? openIns[app.open_in] : "slim-window",
    sharingLevel: sharingLevels[Math.min(sharingLevels.indexOf(share), sharingLevels.indexOf(limit))] ?? "owner",
    subdomain: app.subdomain,
    url: app.url,
    healthcheckUrl: healthcheck.url,
    healthcheckInterval: healthcheck.interval,
    healthcheckThreshold: healthcheck.threshold,
    health: healthcheck.url === "" ? "disabled" : "initializing"
  }
})

/** 40 bits of the hash are eight digits of base 32. */
const storedSlug = Effect.fnUntraced(function* (agentName: string, slug: string) {
  const hash = yield* Digest.Digest.use((digest) =>
    digest.digest(Digest.sha256, new TextEncoder().encode(`${agentName}/${slug}`))
  )
  return `${BigInt(`0x${Hex.encode(hash.subarray(0, 5))}`)
    .toString(32)
    .padStart(8, "0")}-${slug}`
})

const shares = {
  OWNER: "owner",
  AUTHENTICATED: "authenticated",
  PUBLIC: "public",
  ORGANIZATION: "organization"
} as const

const openIns = { SLIM_WINDOW: "slim-window", TAB: "tab" } as const

const slugPattern = /^[a-z0-9](-?[a-z0-9])*$/

const isKey = <A extends object>(record: A, key: PropertyKey): key is keyof A => Object.hasOwn(record, key)

/**
 * The declarations of an agent: the keys that it reports, its apps, its scripts, and the monitors of its resources.
 *
 * The fields have the names of the original's API; times are in seconds. A field that is left out has its default.
 */
import { Effect, Result, Schema } from "effect"
import { sharingLevels } from "../agentapi/ports/SubAgentStore.ts"
import * as CronExpression from "../domain/CronExpression.ts"
import { isStorable } from "../domain/PostgresText.ts"

/** Text of at most `maximum` characters. */
export const limited = (maximum: number) => Schema.String.check(Schema.isMaxLength(maximum), isStorable)

export const optional = <S extends Schema.Top & { readonly Type: unknown }>(schema: S, value: S["Type"]) =>
  schema.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(value)))

/** Rejects a list with two elements of one name. */
export const uniqueBy = <A>(what: string, of: (element: A) => string) =>
  Schema.makeFilter<ReadonlyArray<A>>(
    (elements) => new Set(elements.map(of)).size === elements.length || `Expected each ${what} once`
  )

const Flag = optional(Schema.Boolean, false)

const wholeNumber = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Order = optional(wholeNumber(-1_000_000, 1_000_000), 0)

const year = 31_536_000

const Seconds = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: year }))

/** A key that an agent reports. An interval of zero means that it is collected once. */
export const MetadataDeclaration = Schema.Struct({
  key: limited(127).check(Schema.isMinLength(1)),
  display_name: Schema.optionalKey(limited(127)),
  script: optional(limited(65_535), ""),
  interval: optional(Seconds, 10),
  timeout: optional(Seconds, 10),
  display_order: Order
})
export type MetadataDeclaration = typeof MetadataDeclaration.Type

/** A program that an agent runs for people. Without a health check its health is never known. */
export const AppDeclaration = Schema.Struct({
  slug: limited(255).check(
    Schema.isPattern(/^[a-z0-9](-?[a-z0-9])*$/, {
      expected: "lower-case letters and digits, in parts with a dash between them"
    })
  ),
  display_name: optional(limited(255), ""),
  display_group: optional(limited(255), ""),
  display_order: Order,
  url: optional(limited(8_192), ""),
  command: optional(limited(65_535), ""),
  icon: optional(limited(8_192), ""),
  tooltip: optional(limited(2_048), ""),
  external: Flag,
  subdomain: Flag,
  hidden: Flag,
  sharing_level: optional(Schema.Literals(sharingLevels), "owner"),
  open_in: optional(Schema.Literals(["slim-window", "tab"]), "slim-window"),
  healthcheck: optional(
    Schema.Struct({
      url: optional(limited(8_192), ""),
      interval: optional(wholeNumber(0, year), 0),
      threshold: optional(wholeNumber(0, 1_000_000), 0)
    }),
    { url: "", interval: 0, threshold: 0 }
  )
})
export type AppDeclaration = typeof AppDeclaration.Type

/** An agent of the original never starts with an expression that it cannot read. */
const isCron = Schema.makeFilter((text: string) => text === "" || Result.isSuccess(CronExpression.parse(text)), {
  expected: "an expression of cron with the seconds first, such as 0 30 6 * * 1-5"
})

/** A script that an agent runs at its start, at its end or by a schedule. */
export const ScriptDeclaration = Schema.Struct({
  display_name: limited(127).check(Schema.isMinLength(1)),
  script: limited(65_535),
  log_path: optional(limited(4_096), ""),
  cron: optional(limited(255).check(isCron), ""),
  run_on_start: Flag,
  run_on_stop: Flag,
  start_blocks_login: Flag,
  timeout: optional(wholeNumber(0, year), 0)
})
export type ScriptDeclaration = typeof ScriptDeclaration.Type

/** A monitor of a resource. The threshold is a percentage of use. */
const Monitor = Schema.Struct({ enabled: optional(Schema.Boolean, true), threshold: wholeNumber(0, 100) })
export type Monitor = typeof Monitor.Type

/** The monitors of an agent. */
export const MonitorsDeclaration = Schema.Struct({
  memory: optional(Schema.NullOr(Monitor), null),
  volumes: optional(
    Schema.Array(Schema.Struct({ path: limited(4_096).check(Schema.isMinLength(1)), ...Monitor.fields })).check(
      Schema.isMaxLength(100),
      uniqueBy("path", (volume: { readonly path: string }) => volume.path)
    ),
    []
  )
})
export type MonitorsDeclaration = typeof MonitorsDeclaration.Type

export const metadata = Schema.Array(MetadataDeclaration).check(
  Schema.isMaxLength(1_000),
  uniqueBy("key", (declaration: MetadataDeclaration) => declaration.key)
)

export const apps = Schema.Array(AppDeclaration).check(
  Schema.isMaxLength(100),
  uniqueBy("slug", (app: AppDeclaration) => app.slug)
)

export const scripts = Schema.Array(ScriptDeclaration).check(
  Schema.isMaxLength(100),
  uniqueBy("display_name", (script: ScriptDeclaration) => script.display_name)
)

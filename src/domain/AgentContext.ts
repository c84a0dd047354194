/**
 * The context of an agent: the instruction files, skills and tool servers that it has found, as one snapshot.
 *
 * - Snapshots of one run of an agent have growing versions. The first snapshot of a run may begin anew.
 * - Fields have the names of the protocol. Bytes are base64.
 * - Limits are UTF-8 bytes, and for hashes the bytes that the base64 stands for.
 */
import { Effect, Schema } from "effect"
import { list, upperCaseEnum } from "./Fields.ts"
import { OptionalText, PostgresText } from "./PostgresText.ts"
import * as Utf8 from "./Utf8.ts"

export const limits = {
  resources: 1_000,
  /** The body of one resource, in JSON. */
  body: 262_144,
  /** The bodies of all resources together, in JSON. */
  bodies: 4_194_304,
  source: 1_024,
  /** The longest path that Linux knows. The original has no limit. */
  sourcePath: 4_096,
  error: 4_096,
  hash: 64
} as const

/** The greatest version: that of a signed number of 64 bits. */
export const maxVersion = 2n ** 63n - 1n

const atMost = (limit: number) =>
  Schema.makeFilter((text: string) => !Utf8.exceeds(text, limit) || `Expected at most ${limit} bytes`)

const optional = <S extends Schema.Top>(schema: S, value: S["Encoded"]) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

const Bytes = optional(Schema.String.check(Schema.isBase64({ expected: "bytes in base64" })), "")

const Hash = Bytes.check(
  Schema.makeFilter(
    (base64: string) => bytesOf(base64) <= limits.hash || `Expected a hash of at most ${limits.hash} bytes`
  )
)

const ErrorText = OptionalText.check(atMost(limits.error))

const InstructionFile = Schema.Struct({ content: Bytes })
const Skill = Schema.Struct({ meta: Bytes, name: OptionalText, description: OptionalText })
const McpConfig = Schema.Struct({})
const McpServer = Schema.Struct({
  server_name: OptionalText,
  description: OptionalText,
  tools: list(
    Schema.Struct({
      name: OptionalText,
      description: OptionalText,
      input_schema: Schema.optionalKey(Schema.JsonObject)
    })
  )
})

const bodies = {
  instruction_file: Schema.optionalKey(InstructionFile),
  skill: Schema.optionalKey(Skill),
  mcp_config: Schema.optionalKey(McpConfig),
  mcp_server: Schema.optionalKey(McpServer)
}
const kinds = ["instruction_file", "skill", "mcp_config", "mcp_server"] as const

/** One thing that an agent has found. It has exactly one body, also if its status is not ok. */
export const Resource = Schema.Struct({
  source: PostgresText.check(Schema.isNonEmpty({ expected: "a source" }), atMost(limits.source)),
  source_path: Schema.optionalKey(PostgresText.check(atMost(limits.sourcePath))),
  content_hash: Hash,
  size_bytes: optional(Schema.Natural, 0),
  status: upperCaseEnum("ok", "oversize", "unreadable", "invalid", "excluded"),
  error: ErrorText,
  ...bodies
}).check(
  Schema.makeFilter(
    (resource) =>
      kinds.filter((kind) => resource[kind] !== undefined).length === 1 || `Expected one body, of ${kinds.join(", ")}`
  )
)
export type Resource = typeof Resource.Type

/** The resources of a snapshot, each with a source of its own and a body within the limits. */
export const Resources = list(Resource).check(
  Schema.isMaxLength(limits.resources, { expected: `at most ${limits.resources} resources` }),
  Schema.makeFilter((resources: ReadonlyArray<Resource>) => {
    const sources = new Set<string>()
    let size = 0
    for (const [index, resource] of resources.entries()) {
      if (sources.has(resource.source)) return `Expected the source ${JSON.stringify(resource.source)} once`
      sources.add(resource.source)
      const body = bodySize(resource)
      if (body > limits.body) return { path: [index], issue: `Expected a body of at most ${limits.body} bytes` }
      size += body
    }
    return size <= limits.bodies || `Expected bodies of at most ${limits.bodies} bytes together`
  })
)

/** A snapshot, without the time at which it came. */
export const Snapshot = Schema.Struct({
  version: optional(
    Schema.BigIntFromString.check(
      Schema.isBetweenBigInt({ minimum: 0n, maximum: maxVersion }, { expected: `a version of 0 to ${maxVersion}` })
    ),
    "0"
  ),
  aggregate_hash: Hash,
  resources: Resources,
  snapshot_error: ErrorText
})
export type Snapshot = typeof Snapshot.Type

// ----- internals -----

/** Returns the number of bytes that base64 stands for: three for each four digits. */
const bytesOf = (base64: string): number => Math.floor((base64.replace(/={1,2}$/, "").length * 3) / 4)

const bodySize = (resource: Resource): number => {
  const kind = kinds.find((kind) => resource[kind] !== undefined)
  return kind === undefined ? 0 : Utf8.byteLength(JSON.stringify(resource[kind]))
}

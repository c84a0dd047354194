/** The `.proto` files and their generated code, against the protocol's schema and recorded messages. */
import { create, createRegistry, fromBinary, fromJson, ScalarType, toBinary, toJson } from "@bufbuild/protobuf"
import type { DescField, DescFile, DescMessage } from "@bufbuild/protobuf"
import { timestampFromMs } from "@bufbuild/protobuf/wkt"
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Agent from "../../src/wire/generated/agent_pb.ts"
import * as Tailnet from "../../src/wire/generated/tailnet_pb.ts"

const vectors = (name: string) => JSON.parse(readFileSync(`test/wire/vectors/${name}.json`, "utf8"))
const schema = vectors("schema").files
const { vectors: messages } = vectors("messages") as {
  readonly vectors: ReadonlyArray<{ readonly name: string; readonly type: string; readonly hex: string; json: never }>
}
const registry = createRegistry(Agent.file_agent, Tailnet.file_tailnet)

/** The schema's entries in an order of their own: the order of declarations means nothing. */
const byName = <A extends { readonly name: string }>(entries: ReadonlyArray<A>) =>
  [...entries].sort((a, b) => (a.name < b.name ? -1 : 1))

/** All messages and enums of a file, the nested ones too, by their names within the package. */
const described = (file: DescFile) => {
  const local = (typeName: string) => typeName.slice(file.proto.package.length + 1)
  const nested = (message: DescMessage): ReadonlyArray<DescMessage> => [
    message,
    ...message.nestedMessages.flatMap(nested)
  ]
  const all = file.messages.flatMap(nested)
  const enums = [...file.enums, ...all.flatMap((message) => message.nestedEnums)]
  return {
    messages: byName(
      all.map((message) => ({
        name: local(message.typeName),
        fields: message.fields.map(fieldOf),
        reserved: message.proto.reservedRange.map(({ start }) => start)
      }))
    ),
    enums: byName(
      enums.map((described) => ({
        name: local(described.typeName),
        values: described.values.map(({ name, number }) => ({ name, number }))
      }))
    ),
    services: file.services.map((service) => ({
      name: service.name,
      methods: service.methods.map((method) => ({
        name: method.name,
        request: method.input.typeName,
        response: method.output.typeName,
        client_streaming: method.proto.clientStreaming,
        server_streaming: method.proto.serverStreaming
      }))
    }))
  }
}

const scalar = (type: ScalarType) => ScalarType[type].toLowerCase()

const typeOf = (field: DescField): string => {
  if (field.fieldKind === "map") {
    const value = field.mapKind === "scalar" ? scalar(field.scalar) : (field.message ?? field.enum)!.typeName
    return `map<${scalar(field.mapKey)},${value}>`
  }
  const named = field.message ?? field.enum
  return named === undefined ? scalar(field.scalar!) : named.typeName
}

const fieldOf = (field: DescField) => ({
  name: field.name,
  number: field.number,
  type: typeOf(field),
  label: field.proto.proto3Optional ? "optional" : field.fieldKind === "list" ? "repeated" : "",
  oneof: field.oneof?.name ?? ""
})

/** The schema, with every type's name resolved as a compiler of `.proto` files resolves it. */
const expected = (file: typeof schema.agent) => {
  const names = new Set([...file.messages, ...file.enums].map(({ name }: { name: string }) => name))
  const resolve = (type: string, scope: string): string => {
    const map = /^map<(\w+),(.+)>$/.exec(type)
    if (map !== null) return `map<${map[1]},${resolve(map[2]!, scope)}>`
    for (let outer = scope; ; outer = outer.slice(0, Math.max(0, outer.lastIndexOf(".")))) {
      const name = outer === "" ? type : `${outer}.${type}`
      if (names.has(name)) return `${file.package}.${name}`
      if (outer === "") return type
    }
  }
  return {
    messages: byName(
      file.messages.map((message: typeof schema.agent) => ({
        name: message.name,
        fields: message.fields.map((field: typeof schema.agent) => ({
          name: field.name,
          number: field.number,
          type: resolve(field.type, message.name),
          label: field.label ?? "",
          oneof: field.oneof ?? ""
        })),
        reserved: message.reserved ?? []
      }))
    ),
    enums: byName(file.enums),
    services: file.services.map((service: typeof schema.agent) => ({
      name: service.name,
      methods: service.methods.map((method: typeof schema.agent) => ({
        ...method,
        request: resolve(method.request, ""),
        response: resolve(method.response, "")
      }))
    }))
  }
}

describe("the .proto files", () => {
  it("describe the agent's calls as the original does [WI-01]", () => {
    assert.deepStrictEqual(described(Agent.file_agent), expected(schema.agent))
  })

  it("describe the network's calls as the original does [WI-01]", () => {
    assert.deepStrictEqual(described(Tailnet.file_tailnet), expected(schema.tailnet))
  })
})

describe("the generated code", () => {
  it("reads and writes every recorded message byte for byte [WI-02]", () => {
    for (const { name, type, hex, json } of messages) {
      const message = registry.getMessage(type)!
      const read = fromBinary(message, Buffer.from(hex, "hex"))

      assert.deepStrictEqual(toJson(message, read, { registry }), json, name)
      assert.strictEqual(Buffer.from(toBinary(message, read)).toString("hex"), hex, name)
      assert.strictEqual(Buffer.from(toBinary(message, fromJson(message, json, { registry }))).toString("hex"), hex)
    }
  })

  it("rejects text that is not UTF-8, and writes none [WI-03]", () => {
    const withKey = (...key: ReadonlyArray<number>) => Uint8Array.of(0x12, key.length + 2, 0x0a, key.length, ...key)
    const lone = toBinary(Agent.StartupSchema, create(Agent.StartupSchema, { version: "\ud800" }))

    assert.strictEqual(fromBinary(Agent.BatchUpdateMetadataRequestSchema, withKey(0x78)).metadata[0]!.key, "x")
    assert.throws(() => fromBinary(Agent.BatchUpdateMetadataRequestSchema, withKey(0xff)))
    assert.strictEqual(fromBinary(Agent.StartupSchema, lone).version, "\ufffd")
  })

  it("keeps counters above 2^53 whole [WI-04]", () => {
    const rxBytes = 2n ** 63n - 1n
    const bytes = toBinary(Agent.StatsSchema, create(Agent.StatsSchema, { rxBytes }))

    assert.strictEqual(fromBinary(Agent.StatsSchema, bytes).rxBytes, rxBytes)
  })

  it("ignores fields that it does not know [WI-05]", () => {
    const known = toBinary(
      Agent.LogSchema,
      create(Agent.LogSchema, { output: "line", createdAt: timestampFromMs(1_000) })
    )
    const newer = Buffer.concat([known, Uint8Array.of(0xa2, 0x06, 0x01, 0x78)])

    assert.strictEqual(fromBinary(Agent.LogSchema, newer).output, "line")
  })
})

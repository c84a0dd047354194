import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import { agent } from "../support/metadataBatcher.ts"

const agents = (count: number) => Array.from({ length: count }, (_, number) => agent(number))

const decoded = (chunks: ReadonlyArray<string>) =>
  chunks.flatMap((chunk) => Result.getOrThrow(AgentIdChunks.decode(chunk)))

const reasonOf = (payload: string) => {
  const result = AgentIdChunks.decode(payload)
  return Result.isFailure(result) ? result.failure.message : "decoded"
}

/** The runtime's encoding of the same bytes. */
const reference = (id: AgentId) => Buffer.from(id.replaceAll("-", ""), "hex").toString("base64").replaceAll("=", "")

describe("AgentIdChunks", () => {
  it("encodes an id as 22 characters of unpadded standard base64 [CH-01]", () => {
    const id = "fbefbe00-ffff-4fff-bfff-00ffeeddccbb" as AgentId

    assert.deepStrictEqual(AgentIdChunks.encode([id]), ["++++AP//T/+//wD/7t3Muw"])
  })

  it("reports the room and the need when the target is too small for an id [CH-02]", () => {
    const result = AgentIdChunks.encodeInto(new Uint8Array(21), agent(1))

    const failure = Result.isFailure(result) ? result.failure : undefined
    assert.deepInclude(failure, { _tag: "TargetTooSmall", actual: 21, required: 22 })
    assert.match(failure!.message, /22 bytes.*21/)
  })

  it("writes an id to the front of a target that is large enough [CH-02]", () => {
    for (const spare of [0, 1, 5]) {
      const target = new Uint8Array(22 + spare).fill(33)

      assert.isTrue(Result.isSuccess(AgentIdChunks.encodeInto(target, agent(1))))
      assert.strictEqual(Buffer.from(target).toString("latin1"), `${reference(agent(1))}${"!".repeat(spare)}`)
    }
  })

  it("makes no chunk of no ids [CH-03]", () => {
    assert.deepStrictEqual(AgentIdChunks.encode([]), [])
    assert.deepStrictEqual(decoded([""]), [])
  })

  it("puts 363 ids into one chunk and 364 into two [CH-04]", () => {
    assert.strictEqual(AgentIdChunks.encode(agents(363)).length, 1)
    assert.strictEqual(AgentIdChunks.encode(agents(364)).length, 2)
  })

  it("makes chunks of 7 986 and 5 214 bytes of 600 ids [CH-05]", () => {
    assert.deepStrictEqual(
      AgentIdChunks.encode(agents(600)).map((chunk) => Buffer.byteLength(chunk)),
      [7_986, 5_214]
    )
  })

  it("makes no chunk over 8 000 bytes of 1 000 ids [CH-06]", () => {
    assert.isTrue(AgentIdChunks.encode(agents(1_000)).every((chunk) => Buffer.byteLength(chunk) <= 8_000))
  })

  for (const count of [0, 1, 3, 363, 364, 600]) {
    it(`decodes ${count} ids to what was encoded, in order [CH-07]`, () => {
      assert.deepStrictEqual(decoded(AgentIdChunks.encode(agents(count))), agents(count))
    })
  }

  it("rejects a payload whose length is no multiple of 22 [CH-08]", () => {
    assert.include(reasonOf("A".repeat(23)), "23 characters")
  })

  it("rejects characters that are not the base64 of 16 bytes [CH-08]", () => {
    assert.include(reasonOf(`${reference(agent(1))}${"*".repeat(22)}`), "from 22 on")
    assert.include(reasonOf(`${"A".repeat(21)}B`), "from 0 on")
    for (const place of [0, 10, 20]) {
      for (const character of ["*", "é", "€"]) {
        const payload = "A".repeat(place) + character + "A".repeat(21 - place)
        assert.include(reasonOf(payload), "from 0 on")
      }
    }
  })

  it("writes nothing but ASCII [CH-09]", () => {
    assert.match(AgentIdChunks.encode(agents(600)).join(""), /^[A-Za-z0-9+/]+$/)
  })

  it("throws on an id that is no UUID instead of announcing another one [MB-38]", () => {
    const id = agent(1)
    for (const wrong of ["no uuid", id.replace("8", "é"), id.replace("8", "g"), id.slice(0, -1)]) {
      assert.throws(() => AgentIdChunks.encode([wrong as AgentId]), RangeError)
    }
  })

  it("encodes the digits of an id alike in either case", () => {
    const id = "fbefbe00-ffff-4fff-bfff-00ffeeddccbb" as AgentId

    assert.deepStrictEqual(AgentIdChunks.encode([id.toUpperCase() as AgentId]), AgentIdChunks.encode([id]))
  })

  it("finds an id at the first, a middle and the last place [WA-08]", () => {
    const [chunk] = AgentIdChunks.encode(agents(5))

    assert.deepStrictEqual(
      [0, 2, 4, 5].map((number) => AgentIdChunks.has(chunk!, agent(number))),
      [true, true, true, false]
    )
  })

  it("does not find an id across the border of two others [WA-07]", () => {
    const [chunk] = AgentIdChunks.encode([agent(1), agent(2)])
    const across = Buffer.from(`${chunk!.slice(9, 31)}==`, "base64").toString("hex")
    const id = across.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5") as AgentId

    assert.include(chunk, AgentIdChunks.encode([id])[0])
    assert.isFalse(AgentIdChunks.has(chunk!, id))
    assert.isTrue(AgentIdChunks.has(`${chunk!}${AgentIdChunks.encode([id])[0]!}`, id))
  })

  it("finds an id in a payload that is damaged elsewhere [WA-09]", () => {
    const [chunk] = AgentIdChunks.encode([agent(1)])

    assert.isTrue(AgentIdChunks.has(`${"*".repeat(22)}${chunk!}and a rest`, agent(1)))
  })

  it.prop(
    "agrees with the base64 of the runtime and finds its way back, whatever the ids",
    { ids: Schema.Array(AgentId) },
    ({ ids }) => {
      const chunks = AgentIdChunks.encode(ids)

      assert.strictEqual(chunks.join(""), ids.map(reference).join(""))
      assert.deepStrictEqual(decoded(chunks), ids)
      assert.isTrue(ids.every((id) => chunks.some((chunk) => AgentIdChunks.has(chunk, id))))
    }
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Option, Schema } from "effect"
import * as ApiVersion from "../../src/agentapi/ApiVersion.ts"

const negotiated = (version: string | undefined) =>
  Option.getOrUndefined(Option.map(ApiVersion.negotiate(version), ApiVersion.format))

describe("ApiVersion", () => {
  it("is 2.0 where an agent does not say [CN-01]", () => {
    assert.strictEqual(negotiated(undefined), "2.0")
    assert.strictEqual(negotiated(""), "2.0")
  })

  it("is the one that the agent names, up to that of the service", () => {
    for (const version of ["2.0", "2.1", "2.9", "2.10"]) assert.strictEqual(negotiated(version), version)
  })

  it("is none for what is no version, or of another major one [CN-02]", () => {
    for (const version of [
      "2",
      "2.",
      ".2",
      "v2.0",
      "2.0.0",
      "2.x",
      " 2.0",
      "2.0 ",
      "-2.0",
      "2.-1",
      "1.0",
      "0.0",
      "3.0"
    ]) {
      assert.isUndefined(negotiated(version), version)
    }
    assert.isUndefined(negotiated(`2.${"0".repeat(1_000)}`))
  })

  it("is a newer one where the service is told to accept it [CN-03]", () => {
    assert.deepStrictEqual(ApiVersion.negotiate("2.99", 99), Option.some({ major: 2, minor: 99 }))
    assert.isTrue(Option.isNone(ApiVersion.negotiate("2.100", 99)))
  })

  it("is none for an agent that is newer than the service [CN-03]", () => {
    for (const version of ["2.11", "2.20", "2.9999"]) assert.isUndefined(negotiated(version), version)
  })
})

describe("negotiation", () => {
  const part = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12_000 }))

  it.prop(
    "serves the same major version, up to the newest minor",
    { major: part, minor: part, newest: part },
    (given) => {
      const { minor, newest } = given
      for (const major of [given.major, 2]) {
        const isServed = major === 2 && minor <= newest && minor <= 9_999
        assert.deepStrictEqual(
          ApiVersion.negotiate(`${major}.${minor}`, newest),
          isServed ? Option.some({ major, minor }) : Option.none()
        )
      }
    }
  )

  it.prop("takes nothing for a version that is none", { text: Schema.String }, ({ text }) => {
    const served = ApiVersion.negotiate(text)

    assert.strictEqual(
      Option.isSome(served),
      text === "" || (/^0{0,3}2\.\d{1,4}$/.test(text) && Number(text.split(".")[1]) <= ApiVersion.current.minor)
    )
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Option, Result, Schema } from "effect"
import * as Ids from "../../src/domain/Ids.ts"
import * as PlainIds from "../../src/domain/PlainIds.ts"
import { isStorable } from "../../src/domain/PostgresText.ts"
import { mayRead } from "../../src/domain/User.ts"
import { isPrebuild, prebuildsUserId } from "../../src/domain/Workspace.ts"

const id = "6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10"

const others = [
  "",
  "mine",
  id.slice(1),
  `${id}0`,
  `0${id}`,
  id.replaceAll("-", ""),
  id.replace("c", "g"),
  `${id}\n`,
  `{${id}}`
]

describe("an id", () => {
  it("is a UUID in lower case, however it was written, with Schema and without", () => {
    for (const text of [id, id.toUpperCase()]) {
      assert.deepStrictEqual(PlainIds.agentId(text), Option.some(id as Ids.AgentId))
      assert.deepStrictEqual(Schema.decodeUnknownOption(Ids.AgentId)(text), Option.some(id as Ids.AgentId))
    }
  })

  it("is no other text", () => {
    for (const text of others) {
      assert.isTrue(Option.isNone(PlainIds.agentId(text)), text)
      assert.isTrue(Option.isNone(Schema.decodeUnknownOption(Ids.WorkspaceId)(text)), text)
    }
  })
})

describe("text that can be stored", () => {
  it("has no NUL and no half of a character", () => {
    const check = Schema.decodeUnknownResult(Schema.String.check(isStorable))

    assert.deepStrictEqual(
      ["", "aé😀\n", "a\0", "\ud800", "a\udc00b", "\0\ud800"].map((text) => Result.isSuccess(check(text))),
      [true, true, false, false, false, false]
    )
    assert.include(String(Result.getOrUndefined(Result.flip(check("\0")))), "text without NUL or half a character")
  })
})

describe("a user", () => {
  it("may read what is their own, and everything as an administrator", () => {
    const [own, other] = [Ids.UserId.make(id), Ids.UserId.make(id.replace("6", "7"))]
    const user = { id: own, username: "ada", isAdmin: false }

    assert.deepStrictEqual([mayRead(user, own), mayRead(user, other)], [true, false])
    assert.deepStrictEqual(
      [own, other].map((owner) => mayRead({ ...user, isAdmin: true }, owner)),
      [true, true]
    )
  })

  it("may be the owner of workspaces that nobody has claimed", () => {
    assert.deepStrictEqual(
      [prebuildsUserId, Ids.UserId.make(id)].map((ownerId) => isPrebuild({ ownerId })),
      [true, false]
    )
  })
})

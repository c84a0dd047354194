/** The agent API as `src/README.md` lists it. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { AgentApi } from "../../src/agentapi/AgentApi.ts"

const namesIn = (text: string, pattern: RegExp): ReadonlyArray<string> =>
  Array.from(text.matchAll(pattern), ([, name]) => name!).toSorted()

/** The calls of each file, as `src/README.md` lists them. */
const listed = new Map(
  Array.from(
    readFileSync("src/README.md", "utf8").matchAll(/^\| [^|]+ \| ((?:`[A-Z]\w+`(?:, )?)+) \| `(\w+\.ts)` \|$/gm),
    ([, calls, file]) => [file!, namesIn(calls!, /`(\w+)`/g)]
  )
)

/** The calls of each file, as they are made there. */
const made = new Map(
  globSync("src/agentapi/calls/*.ts").flatMap((file) => {
    const calls = namesIn(readFileSync(file, "utf8"), /Rpc\.make\("(\w+)"/g)
    return calls.length === 0 ? [] : [[Path.basename(file), calls] as const]
  })
)

describe("AgentApi", () => {
  it("is listed in src/README.md, with the file of each call", () => {
    assert.deepStrictEqual(new Map([...listed].toSorted()), new Map([...made].toSorted()))
  })

  it("has every call that is made, and no other", () => {
    assert.deepStrictEqual([...AgentApi.requests.keys()].toSorted(), [...made.values()].flat().toSorted())
  })
})

/** The time that the service needs for the text of agents, against the length of that text. */
import { describe, it } from "@effect/vitest"
import { DateTime, Schema } from "effect"
import { AgentApi } from "../../src/agentapi/AgentApi.ts"
import { withoutSecrets } from "../../src/agentapi/calls/BoundaryLogs.ts"
import * as ApiVersion from "../../src/agentapi/ApiVersion.ts"
import * as DisplayText from "../../src/domain/DisplayText.ts"
import * as AgentLog from "../../src/domain/AgentLog.ts"
import * as MetadataReport from "../../src/domain/MetadataReport.ts"
import * as Redaction from "../../src/telemetry/Redaction.ts"
import { nextAutostart } from "../../src/usage/ActivityBump.ts"
import { requests } from "../support/agentCalls.ts"
import { anyKey } from "../support/agentApi.ts"
import { assertLinear } from "../support/linear.ts"

const patterns = [
  "a",
  "1",
  " ",
  "\0",
  "\ud800",
  "://a",
  "://a:b@",
  "/",
  "a:",
  "a@",
  "?#",
  "-a",
  ".1",
  "v1.",
  "\u001b[",
  "<script>",
  "<a",
  "<".repeat(50) + ">".repeat(50),
  "token= ",
  "cookie ",
  "bearer ",
  "T",
  "2026-01-01T00:00:00Z"
]

const now = DateTime.makeUnsafe("2026-01-22T10:00:00Z")

const works: Readonly<Record<string, (text: string) => unknown>> = {
  redaction: Redaction.text,
  "boundary log": withoutSecrets,
  report: (text) => MetadataReport.accept([{ key: "k", value: text, error: text }], now, anyKey),
  "log line": AgentLog.cut,
  version: ApiVersion.negotiate,
  schedule: (text) => nextAutostart(`CRON_TZ=UTC ${text}`, now),
  // a status has at most 160 bytes, which is checked before
  status: (text) => DisplayText.clean(text.slice(0, 160))
}

/** A request with every text replaced, one at a time. */
const variants = (value: unknown, text: string): ReadonlyArray<unknown> => {
  if (typeof value === "string") return [text]
  if (Array.isArray(value)) {
    return value.flatMap((element, index) =>
      variants(element, text).map((changed) => value.with(index, changed) as ReadonlyArray<unknown>)
    )
  }
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([name, field]) =>
    variants(field, text).map((changed) => ({ ...value, [name]: changed }))
  )
}

describe("the text of agents", () => {
  for (const [name, work] of Object.entries(works)) {
    it(`takes a time in proportion to its length: ${name} [FT-09]`, () => {
      for (const pattern of patterns) assertLinear(name, work, pattern)
    })
  }

  it("is decoded in a time in proportion to its length, in each field of each call [FT-09]", () => {
    for (const [tag, request] of Object.entries(requests())) {
      const decode = Schema.decodeUnknownExit(AgentApi.requests.get(tag)!.payloadSchema as Schema.Codec<unknown>)
      const count = variants(request, "").length
      // an end that fits nothing lets an expression that goes back try all that it has matched
      const forms = ["a", "1", "-a", "<a", "\0", "2026-01-01T", "="].flatMap(
        (pattern) =>
          [
            [pattern, ""],
            [pattern, "!"]
          ] as const
      )
      for (const [pattern, end] of forms) {
        for (let index = 0; index < count; index++) {
          assertLinear(`${tag} ${index}`, (text) => decode(variants(request, text + end)[index]), pattern, 50_000)
        }
      }
    }
  })
})

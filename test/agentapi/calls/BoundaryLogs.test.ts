/** `ReportBoundaryLogs`, called as an agent calls it, over a usage tracker that the test looks into. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as BoundaryLogs from "../../../src/agentapi/calls/BoundaryLogs.ts"
import { type BoundaryRequests, BoundaryUsage } from "../../../src/usage/BoundaryUsage.ts"
import { TemplateVersionId } from "../../../src/domain/Ids.ts"
import { calling, session } from "../../support/agentApi.ts"
import { identity, workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"

const templateVersionId = TemplateVersionId.make("10000000-0000-4000-8000-000000000001")

const connect = Effect.gen(function* () {
  const tracked: Array<BoundaryRequests> = []
  const logs: Array<LogRecord> = []
  const { ReportBoundaryLogs } = yield* Effect.provideService(BoundaryLogs.make, BoundaryUsage, {
    track: (requests) => Effect.sync(() => void tracked.push(requests)),
    flush: Effect.void,
    run: Effect.never
  })
  const call = calling(
    BoundaryLogs.ReportBoundaryLogsRequest,
    ReportBoundaryLogs,
    session(agent(7), { identity: { ...identity(agent(7)), templateVersionId } })
  )
  return { tracked, logs, report: (...logged: ReadonlyArray<unknown>) => collectLogs(logs)(call({ logs: logged })) }
})

const request = (allowed: boolean, url = "https://example.com/a", rest: object = {}) => ({
  allowed,
  time: "2026-03-01T12:00:00Z",
  http_request: { method: "GET", url, matched_rule: "domain=example.com", ...rest }
})

const about = {
  agentId: agent(7),
  workspaceId: workspace.id,
  templateId: workspace.templateId,
  templateVersionId,
  method: "GET",
  url: "https://example.com/a",
  time: "2026-03-01T12:00:00.000Z"
}

describe("ReportBoundaryLogs", () => {
  it.effect("logs the place of a request in its session [BL-06]", () =>
    Effect.gen(function* () {
      const { logs, report } = yield* connect

      yield* report({ ...request(true), sequence_number: 7 }, request(true))

      assert.deepStrictEqual(
        logs.map(({ annotations }) => annotations["sequenceNumber"]),
        [7, undefined]
      )
    })
  )

  it.effect("logs each request with the decision, and the rule when it has allowed it [BL-01, BL-02]", () =>
    Effect.gen(function* () {
      const { logs, report } = yield* connect

      assert.deepStrictEqual(yield* report(request(true), request(false)), {})

      assert.deepStrictEqual(
        logs.map(({ annotations, level }) => [level, annotations]),
        [
          ["Info", { ...about, decision: "allow", matchedRule: "domain=example.com" }],
          ["Info", { ...about, decision: "deny" }]
        ]
      )
    })
  )

  it.effect("logs no query, no fragment and no credentials of a URL [BL-01]", () =>
    Effect.gen(function* () {
      const { logs, report } = yield* connect
      const urls = [
        ["https://example.com/a?token=secret", "https://example.com/a"],
        ["https://example.com/a#secret", "https://example.com/a"],
        ["https://ada:secret@example.com:8443/a/b@c", "https://example.com:8443/a/b@c"],
        ["https://a@b:secret@example.com?x=/@", "https://example.com"],
        ["//ada:secret@example.com", "//example.com"],
        ["https:/ada:secret@example.com/a", "https:/example.com/a"],
        ["https:///ada:secret@example.com/a", "https:///example.com/a"],
        ["https:\\\\ada:secret@example.com/a", "https:\\\\example.com/a"],
        ["https:ada:secret@example.com/a", "example.com/a"],
        ["ada:secret@example.com:443", "example.com:443"],
        ["example.com:443", "example.com:443"],
        ["/a?\nsecret", "/a"],
        ["", ""]
      ] as const

      yield* report(...urls.map(([url]) => request(true, url)))

      assert.deepStrictEqual(
        logs.map(({ annotations }) => annotations["url"]),
        urls.map(([, logged]) => logged)
      )
      assert.notInclude(JSON.stringify(logs), "secret")
    })
  )

  it.effect("removes secrets before it cuts a long text, so that no part of a secret is left [BL-01]", () =>
    Effect.gen(function* () {
      const { logs, report } = yield* connect
      const secret = "secret".repeat(400)

      for (const url of [
        `https://${secret}@example.com/a`,
        `https://ada:${secret}@example.com/a`,
        `${secret}@example`
      ]) {
        yield* report(request(true, url))
      }
      yield* report(request(true, "", { matched_rule: `${"x".repeat(2_000)} https://ada:${secret}@example.com` }))
      yield* report(request(true, `https://example.com/${"a".repeat(3_000)}?${secret}`))

      assert.notInclude(JSON.stringify(logs), "secret")
      assert.deepStrictEqual(
        logs.map(({ annotations }) => String(annotations["url"]).slice(0, 21)),
        ["https://example.com/a", "https://example.com/a", "example", "", "https://example.com/a"]
      )
      assert.lengthOf(String(logs.at(-1)!.annotations["url"]), 2_048)
    })
  )

  it.effect("skips what is no request with a warning, and does not count it [BL-03]", () =>
    Effect.gen(function* () {
      const { logs, report, tracked } = yield* connect

      yield* report({ allowed: true }, request(true), { allowed: false, dns_request: { name: "example.com" } })

      assert.deepStrictEqual(
        logs.map(({ annotations, level }) => [level, annotations["skipped"]]),
        [
          ["Info", undefined],
          ["Warn", 2]
        ]
      )
      assert.deepStrictEqual(
        tracked.map(({ allowed, denied }) => [allowed, denied]),
        [[1, 0]]
      )
    })
  )

  it.effect("counts the requests of a report once, and nothing when there are none [BL-04]", () =>
    Effect.gen(function* () {
      const { report, tracked } = yield* connect

      yield* report(request(true), request(false), request(true))
      yield* report()
      yield* report({ allowed: true })

      assert.deepStrictEqual(tracked, [{ workspaceId: workspace.id, userId: workspace.ownerId, allowed: 2, denied: 1 }])
    })
  )

  it.effect("rejects a report of more than ten thousand logs", () =>
    Effect.gen(function* () {
      const { logs, report } = yield* connect

      const error = yield* Effect.flip(report(...Array.from({ length: 10_001 }, () => request(true))))

      assert.include(error.message, "at most 10000 logs")
      assert.deepStrictEqual(logs, [])
    })
  )
})

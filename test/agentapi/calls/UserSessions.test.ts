/** `ReportConnection`, called as an agent calls it, over a store that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { AgentSession } from "../../../src/agentapi/session/AgentSession.ts"
import * as UserSessions from "../../../src/agentapi/calls/UserSessions.ts"
import { UserSessionId, nil } from "../../../src/domain/Ids.ts"
import { calling, session } from "../../support/agentApi.ts"
import { workspace } from "../../support/identity.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"
import { type UserSessionReport, UserSessionStore } from "../../../src/agentapi/ports/UserSessionStore.ts"

const connect = Effect.fnUntraced(function* (overrides: Partial<AgentSession["Service"]> = {}) {
  const reports: Array<UserSessionReport> = []
  const { ReportConnection } = yield* Effect.provideService(UserSessions.make, UserSessionStore, {
    record: (report) => Effect.sync(() => reports.push(report))
  })
  return {
    reports,
    call: calling(UserSessions.ReportConnectionRequest, ReportConnection, session(agent(7), overrides))
  }
})

const begin = {
  id: "10000000-0000-4000-8000-000000000001",
  action: "CONNECT",
  type: "SSH",
  timestamp: "2026-03-01T12:00:00Z",
  ip: "10.0.0.1"
}

const end = { ...begin, action: "DISCONNECT", status_code: 255, reason: "gone" }

/** The record of a connection. */
const recorded = Effect.fnUntraced(function* (connection: unknown) {
  const { call, reports } = yield* connect()
  yield* call({ connection })
  return reports[0]!
})

/** The rejection of a connection. */
const refused = Effect.fnUntraced(function* (connection: unknown) {
  const { call, reports } = yield* connect()
  const error = yield* Effect.flip(call({ connection }))
  assert.deepStrictEqual(reports, [])
  return String(error)
})

describe("ReportConnection", () => {
  it.effect("records the user, the target, the time and the kind of a connection [CL-03]", () =>
    Effect.gen(function* () {
      const report = yield* recorded({ ...begin, app_name: "code-server" })

      assert.deepInclude(report, {
        connectionId: UserSessionId.make(begin.id),
        agentName: "main",
        workspace,
        type: "ssh",
        ip: "10.0.0.1",
        appName: "code-server",
        end: null
      })
      assert.strictEqual(report.at.epochMilliseconds, Date.UTC(2026, 2, 1, 12))
      for (const [type, stored] of [
        ["VSCODE", "vscode"],
        ["JETBRAINS", "jetbrains"],
        ["RECONNECTING_PTY", "reconnecting_pty"]
      ]) {
        assert.strictEqual((yield* recorded({ ...begin, type })).type, stored)
      }
    })
  )

  it.effect("cuts a reason and a name of an app to 2 048 characters: an agent drops what is refused [CL-10]", () =>
    Effect.gen(function* () {
      const cut = "x".repeat(2_048)
      const report = yield* recorded({ ...end, reason: `${cut}y`, app_name: `${cut}y` })

      assert.deepStrictEqual(report.end, { code: 255, reason: cut })
      assert.strictEqual(report.appName, cut)
    })
  )

  it.effect("rejects unknown actions and types [CL-03]", () =>
    Effect.gen(function* () {
      for (const action of ["ACTION_UNSPECIFIED", "LEAVE", 1, undefined]) {
        assert.include(yield* refused({ ...begin, action }), "action")
      }
      for (const type of ["TYPE_UNSPECIFIED", "TELNET", 1, undefined]) {
        assert.include(yield* refused({ ...begin, type }), "type")
      }
    })
  )

  it.effect("rejects an id that is no UUID [CL-01]", () =>
    Effect.gen(function* () {
      for (const id of ["", "connection", begin.id.slice(1), 7, undefined]) {
        assert.include(yield* refused({ ...begin, id }), `["id"]`)
      }
    })
  )

  it.effect("rejects the nil id [CL-02]", () =>
    Effect.gen(function* () {
      assert.include(yield* refused({ ...begin, id: nil }), "an id other than the nil id")
    })
  )

  it.effect("keeps a status code and a reason for the end of a connection only [CL-04]", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* recorded(end)).end, { code: 255, reason: "gone" })
      assert.isNull((yield* recorded({ ...end, action: "CONNECT" })).end)
      assert.include(yield* refused({ ...end, status_code: 2 ** 31 }), "a number of 32 bits")
    })
  )

  it.effect("takes localhost for 127.0.0.1 [CL-05]", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* recorded({ ...begin, ip: "localhost" })).ip, "127.0.0.1")
      assert.strictEqual((yield* recorded({ ...begin, ip: "2001:DB8::1" })).ip, "2001:db8::1")
    })
  )

  it.effect("leaves out an address that is none [CL-06]", () =>
    Effect.gen(function* () {
      for (const ip of ["", "somewhere", "10.0.0.256", "10.0.0.1:22", "fe80::1%eth0", "10.0.0.0/8", undefined]) {
        assert.isNull((yield* recorded({ ...begin, ip: ip ?? "" })).ip, ip)
      }
    })
  )

  it.effect("leaves out an empty reason [CL-07]", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* recorded({ ...end, reason: "" })).end, { code: 255, reason: null })
      const { reason: _, ...silent } = end
      assert.deepStrictEqual((yield* recorded(silent)).end, { code: 255, reason: null })
    })
  )

  it.effect("takes a report without a time, or of the zero time, for one of now", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000)
      const { timestamp: _, ...timeless } = begin

      assert.strictEqual((yield* recorded(timeless)).at.epochMilliseconds, 1_000)
      const zero = yield* recorded({ ...begin, timestamp: "0001-01-01T00:00:00Z" })
      assert.strictEqual(zero.at.epochMilliseconds, 1_000)
      assert.include(yield* refused({ ...begin, timestamp: "-004000-01-01T00:00:00Z" }), "timestamp")
    })
  )

  it.effect("looks the workspace up where it is not cached, and responds when that fails [CL-09]", () =>
    Effect.gen(function* () {
      const claimed = { ...workspace, name: "claimed" }
      const found = yield* connect({
        cachedWorkspace: { get: Effect.succeedNone },
        workspace: Effect.succeed(claimed)
      })
      yield* found.call({ connection: begin })
      assert.deepStrictEqual(found.reports[0]!.workspace, claimed)

      const lost = yield* connect({
        workspace: Effect.fail(
          new StoreError({ operation: "find the workspace", reason: "unavailable", cause: "no route" })
        )
      })
      assert.deepInclude(yield* Effect.flip(lost.call({ connection: begin })), {
        _tag: "Unavailable",
        message: "cannot find the workspace now"
      })
      assert.deepStrictEqual(lost.reports, [])
    })
  )
})

/** One connection's session, from its opening to the end of its scope. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Metric, Option, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { connectedAgents } from "../../../src/agentapi/AgentMetrics.ts"
import * as AgentSession from "../../../src/agentapi/session/AgentSession.ts"
import * as ApiVersion from "../../../src/agentapi/ApiVersion.ts"
import * as SessionEvents from "../../../src/agentapi/session/SessionEvents.ts"
import { WorkspaceStore } from "../../../src/access/WorkspaceStore.ts"
import type { AgentIdentity } from "../../../src/domain/AgentIdentity.ts"
import { prebuildsUserId, type Workspace } from "../../../src/domain/Workspace.ts"
import * as StallDetector from "../../../src/platform/StallDetector.ts"
import * as PubSub from "../../../src/pubsub/PubSub.ts"
import { token } from "../../support/accessStore.ts"
import { layerPorts, session } from "../../support/agentApi.ts"
import { identity, workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"

type Answer = Effect.Effect<Option.Option<Workspace>, StoreError>

const failing = (reason: StoreError["reason"]) =>
  Effect.fail(new StoreError({ operation: "read the workspace", reason, cause: new Error("away") }))

/** A session in a scope of its own, over a store that answers with these. */
const open = Effect.fnUntraced(function* (
  who: AgentIdentity,
  answers: { readonly workspace?: Answer; readonly workspaceOf?: Answer } = {}
) {
  const logs: Array<LogRecord> = []
  const asked: Array<string> = []
  const scope = yield* Scope.make()
  const ports = yield* Layer.build(Layer.mergeAll(layerPorts, StallDetector.layer))
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const opened = yield* AgentSession.open(
    {
      identity: who,
      apiVersion: ApiVersion.current,
      token: token("a token")
    },
    Effect.void
  ).pipe(
    Scope.provide(scope),
    collectLogs(logs),
    Effect.provideService(WorkspaceStore, {
      workspace: () => answers.workspace ?? Effect.succeedSome(who.workspace),
      workspaceOf: (agentId) =>
        Effect.suspend(() => {
          asked.push(agentId)
          return answers.workspaceOf ?? Effect.succeedNone
        })
    }),
    Effect.provideContext(ports)
  )
  return { session: opened, asked, logs, end: collectLogs(logs)(Scope.close(scope, Exit.void)) }
})

const unclaimed: AgentIdentity = { ...identity(agent(1)), workspace: { ...workspace, ownerId: prebuildsUserId } }

describe("AgentSession", () => {
  it.effect("shares nothing with another session of the same agent [AP-01]", () =>
    Effect.gen(function* () {
      const renamed = { ...workspace, name: "prod" }
      const one = yield* open(identity(agent(1)), { workspace: Effect.succeedSome(renamed) })
      const other = yield* open(identity(agent(1)))

      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* one.session.cachedWorkspace.get, Option.some(renamed))
      assert.deepStrictEqual(yield* other.session.cachedWorkspace.get, Option.some(workspace))

      yield* one.end
      assert.isTrue(Option.isNone(yield* one.session.cachedWorkspace.get))
      assert.deepStrictEqual(yield* other.session.cachedWorkspace.get, Option.some(workspace))
    })
  )

  it.effect("is counted until its end", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* open(identity(agent(1))), yield* open(identity(agent(1)))]
      const count = Effect.map(Metric.value(connectedAgents), ({ value }) => value)

      assert.strictEqual(yield* count, 2)
      yield* first.end
      assert.strictEqual(yield* count, 1)
      yield* second.end
      assert.strictEqual(yield* count, 0)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("releases what it holds in reverse order, with its ids in the log and no token", () =>
    Effect.gen(function* () {
      const { end, logs } = yield* open(identity(agent(1)))

      yield* end

      assert.deepStrictEqual(
        logs.map(({ message }) => message),
        ["agent connected", "workspace cache ended", "agent disconnected"]
      )
      for (const { annotations } of logs) {
        assert.deepInclude(annotations, { agentId: agent(1), workspaceId: workspace.id })
      }
      assert.notInclude(JSON.stringify(logs), "a token")
    })
  )

  it.effect("returns the workspace without a query where it is cached, and looks it up where it is not [CW-09]", () =>
    Effect.gen(function* () {
      const cached = yield* open(identity(agent(1)))
      const absent = yield* open(unclaimed, {
        workspace: Effect.succeedSome(unclaimed.workspace),
        workspaceOf: Effect.succeedSome(unclaimed.workspace)
      })

      assert.deepStrictEqual(yield* cached.session.workspace, workspace)
      assert.deepStrictEqual(cached.asked, [])
      assert.deepStrictEqual(yield* absent.session.workspace, unclaimed.workspace)
      assert.deepStrictEqual(absent.asked, [agent(1)])
    })
  )

  it.effect("names the agent whose workspace cannot be found, and keeps why [AP-07]", () =>
    Effect.gen(function* () {
      const lookup = (workspaceOf: Answer) =>
        Effect.flatMap(open(unclaimed, { workspaceOf }), ({ session }) => Effect.flip(session.workspace))

      for (const reason of ["unavailable", "cancelled"] as const) {
        const error = yield* lookup(failing(reason))
        assert.strictEqual(error.message, `cannot find the workspace of agent ${agent(1)}`)
        assert.strictEqual(error.reason, reason)
        assert.propertyVal(error.cause, "_tag", "StoreError")
      }
      const gone = yield* lookup(Effect.succeedNone)
      assert.include(gone.message, agent(1))
      assert.strictEqual(gone.reason, "unavailable")
    })
  )
})

describe("SessionEvents", () => {
  it.effect("names kind, workspace and agent on the channel of whoever owned the workspace at connect [AP-08]", () =>
    Effect.gen(function* () {
      const publish = yield* SessionEvents.make
      const events = yield* Stream.toQueue(PubSub.messages(`workspace_owner:${workspace.ownerId}`), {
        capacity: "unbounded"
      })
      yield* TestClock.adjust(0)

      yield* Effect.provideService(
        publish("agt_connection_update"),
        AgentSession.AgentSession,
        session(agent(1), { workspace: Effect.succeed({ ...workspace, ownerId: prebuildsUserId }) })
      )

      assert.deepStrictEqual(JSON.parse(yield* Queue.take(events)), {
        kind: "agt_connection_update",
        workspace_id: workspace.id,
        agent_id: agent(1)
      })
    }).pipe(Effect.provide(PubSub.layerMemory))
  )
})

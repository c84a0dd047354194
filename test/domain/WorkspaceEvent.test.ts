import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { AgentId, WorkspaceId } from "../../src/domain/Ids.ts"
import { WorkspaceEvent } from "../../src/domain/WorkspaceEvent.ts"
import { newId } from "../support/seed.ts"

describe("an event of a workspace", () => {
  it("names its kind, the workspace and the agent, and is read as it was written", () => {
    const event = { kind: "app_health", workspace_id: newId(WorkspaceId), agent_id: newId(AgentId) } as const

    const text = Schema.encodeSync(WorkspaceEvent)(event)

    assert.deepStrictEqual(JSON.parse(text), event)
    assert.deepStrictEqual(Schema.decodeSync(WorkspaceEvent)(text), event)
    assert.isTrue(Result.isFailure(Schema.decodeResult(WorkspaceEvent)(`{"kind":"app_health"}`)))
  })
})

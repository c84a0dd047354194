import { assert, describe, it } from "@effect/vitest"
import * as AgentReader from "../../src/watch/AgentReader.ts"

describe("the health of an agent", () => {
  const healthOf = (condition: Parameters<typeof AgentReader.healthOf>[0]) => {
    const { healthy, reason } = AgentReader.healthOf(condition)
    return healthy ? "healthy" : reason
  }

  it("follows from its lifecycle while it is connected", () => {
    for (const [lifecycle_state, health] of [
      ["created", "healthy"],
      ["starting", "healthy"],
      ["start_timeout", "healthy"],
      ["start_error", "agent startup script exited with an error"],
      ["ready", "healthy"],
      ["shutting_down", "agent is shutting down"],
      ["shutdown_timeout", "agent is shutting down"],
      ["shutdown_error", "agent is shutting down"],
      ["off", "agent is shutting down"]
    ] as const) {
      assert.strictEqual(healthOf({ lifecycle_state, status: "connected" }), health, lifecycle_state)
    }
  })

  it("follows from its connection first, unless it is off", () => {
    for (const lifecycle_state of ["created", "start_error", "ready", "shutting_down"] as const) {
      assert.strictEqual(healthOf({ lifecycle_state, status: "timeout" }), "agent is taking too long to connect")
      assert.strictEqual(healthOf({ lifecycle_state, status: "disconnected" }), "agent has lost connection")
    }
    for (const status of ["connecting", "timeout", "disconnected"] as const) {
      assert.strictEqual(healthOf({ lifecycle_state: "off", status }), "agent is not running")
    }
    assert.strictEqual(healthOf({ lifecycle_state: "ready", status: "connecting" }), "healthy")
  })
})

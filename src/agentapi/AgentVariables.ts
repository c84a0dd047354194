/** The environment variables of the agent API. */
import * as Value from "../domain/SettingValue.ts"
import { optional, required } from "../domain/SettingVariable.ts"

export const variables = {
  agentMaxCallRate: required({
    name: "AGENT_MAX_CALL_RATE",
    default: "100",
    value: Value.wholeNumber(1, 1_000_000),
    description:
      "Calls that an agent may make in a second; the calls of a faster one are read more slowly. In the original's protocol 128 frames count as a call."
  }),
  agentApiMaxMinor: required({
    name: "AGENT_API_MAX_MINOR",
    default: "99",
    value: Value.wholeNumber(0, 9_999),
    description:
      "The newest minor version of the agent API that is accepted. An agent that is refused asks for its own again for ever."
  }),
  agentMaxRunningCalls: required({
    name: "AGENT_MAX_RUNNING_CALLS",
    default: "16",
    value: Value.wholeNumber(1, 10_000),
    description: "Calls of a connection of an agent that may run at the same time; further ones wait unread."
  }),
  agentMaxConnections: required({
    name: "AGENT_MAX_CONNECTIONS",
    default: "16",
    value: Value.wholeNumber(1, 10_000),
    description: "Connections that an agent may have at a time; further ones fail with 429."
  }),
  agentMaxMessageBytes: required({
    name: "AGENT_MAX_MESSAGE_BYTES",
    default: "4194304",
    value: Value.wholeNumber(1_024, 1_073_741_824),
    description: "The largest message of an agent; a larger one ends its connection."
  }),
  agentMaxStreams: required({
    name: "AGENT_MAX_STREAMS",
    default: "1024",
    value: Value.wholeNumber(256, 1_000_000),
    description: "Streams that a connection in the original's protocol may have open; further ones are refused."
  }),
  agentMaxSubAgents: required({
    name: "AGENT_MAX_SUB_AGENTS",
    default: "100",
    value: Value.wholeNumber(0, 10_000),
    description: "Sub-agents that an agent may have at a time, with those of its sub-agents; further ones are refused."
  }),
  agentContext: required({
    name: "AGENT_CONTEXT",
    default: "true",
    value: Value.flag,
    description: "Store the instruction files, skills and tools that agents find; false for a service that takes none."
  }),
  agentMayDeclareKeys: required({
    name: "AGENT_MAY_DECLARE_KEYS",
    default: "false",
    value: Value.flag,
    description: "Let agents declare keys of their own, in addition to those that are declared for them."
  }),
  agentMaxConnectionAge: optional({
    name: "AGENT_MAX_CONNECTION_AGE",
    value: Value.duration,
    description:
      "The age, varied by a tenth, at which the connection of an agent is closed so that it connects anew, for an even spread over replicas. Without it, never."
  })
} as const

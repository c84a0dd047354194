/**
 * The output of an agent's scripts and programs, line by line.
 *
 * - A line has at most {@link maxLineLength} characters. A longer line is cut between characters.
 * - An agent may have {@link maxBytes} of lines in all.
 * - Lines are numbered over all agents. The lines of one agent become visible in the order of their numbers, so that a
 *   reader who has read up to a number misses nothing by asking for the lines above it.
 */
import { Schema } from "effect"
import { type AgentId, LogSourceId } from "./Ids.ts"

/** The number of a line. Zero comes before all of them. */
export const LogId = Schema.Natural.pipe(Schema.brand("LogId"))
export type LogId = typeof LogId.Type

export const LogLevel = Schema.Literals(["trace", "debug", "info", "warn", "error"])
export type LogLevel = typeof LogLevel.Type

/** A line, as readers get it. */
export const AgentLog = Schema.Struct({
  id: LogId,
  created_at: Schema.DateTimeUtcFromString,
  level: LogLevel,
  output: Schema.String,
  source_id: LogSourceId
})
export type AgentLog = typeof AgentLog.Type

/** The longest line, in characters. */
export const maxLineLength = 1_024

/** The most that an agent may log in all, in UTF-8 bytes of lines as they are stored. */
export const maxBytes = 1_048_576

/** Returns the part of a text that a line can hold. */
export const cut = (text: string): string =>
  // a character has two units at most
  text.length <= maxLineLength
    ? text
    : Array.from(text.slice(0, 2 * maxLineLength))
        .slice(0, maxLineLength)
        .join("")

/** The channel on which new lines of an agent are announced. */
export const channel = (agentId: AgentId): string => `agent-logs:${agentId}`

/** An announcement: all new lines have numbers above this one. */
export const Announcement = Schema.fromJsonString(Schema.Struct({ created_after: Schema.Int }))

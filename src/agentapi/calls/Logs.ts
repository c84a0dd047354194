/**
 * `BatchCreateLogs`: an agent reports the output of its scripts and programs.
 *
 * - All lines of a call get its time of receipt: the clock of an agent is not trusted.
 * - Lines are cut by the rules of {@link AgentLog}. A line without a level gets the level info.
 * - Lines without a source come from an external program. Its source is created with its first line.
 * - When an agent crosses its limit, the lines before the limit are stored, the agent is told, and its owner's programs
 *   are told once. From then on no line of the agent is stored.
 * - Stored lines are announced by the number before the first of them. The first lines of an agent are also an event.
 * - An announcement that fails is a warning, because the lines are stored.
 * - No byte of a line is logged.
 */
import { Effect, Option, Schema } from "effect"
import { Rpc } from "effect/rpc"
import * as AgentLog from "../../domain/AgentLog.ts"
import { type AgentId, LogSourceId, nil } from "../../domain/Ids.ts"
import { OptionalText } from "../../domain/PostgresText.ts"
import { PubSub } from "../../pubsub/PubSub.ts"
import { unavailable, Unavailable } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { list, upperCaseEnum } from "../../domain/Fields.ts"
import * as SessionEvents from "../session/SessionEvents.ts"
import { type Appended, LogStore } from "../ports/LogStore.ts"

const Level = upperCaseEnum("level_unspecified", "trace", "debug", "info", "warn", "error")

/** The most lines of one call. An agent sends at most one mebibyte at a time, and counts 21 bytes for an empty line. */
export const maxLines = 65_536

const Line = Schema.Struct({
  /** Accepted and ignored. */
  created_at: Schema.optionalKey(Schema.String),
  output: OptionalText,
  level: Level.pipe(Schema.withDecodingDefaultKey(Effect.succeed("LEVEL_UNSPECIFIED")))
})

export const BatchCreateLogsRequest = Schema.Struct({
  /** The nil id stands for an external program. */
  log_source_id: LogSourceId,
  logs: list(Line).check(Schema.isMaxLength(maxLines, { expected: `at most ${maxLines} lines` }))
})
export type BatchCreateLogsRequest = typeof BatchCreateLogsRequest.Type

export const BatchCreateLogs = Rpc.make("BatchCreateLogs", {
  payload: BatchCreateLogsRequest,
  success: Schema.Struct({ log_limit_exceeded: Schema.Boolean }),
  error: Unavailable
})

export const make = Effect.gen(function* () {
  const store = yield* LogStore
  const pubsub = yield* PubSub
  const publish = yield* SessionEvents.make

  const announce = (agentId: AgentId, { firstId, isFirst, limit }: Appended) =>
    Effect.forEach(
      [
        ...Option.toArray(firstId).map((id) =>
          pubsub.publish(AgentLog.channel(agentId), encodeAnnouncement({ created_after: id - 1 }))
        ),
        ...(isFirst ? [publish("agt_first_logs")] : []),
        ...(limit === "crossed" ? [publish("agt_logs_overflow")] : [])
      ],
      Effect.ignore({ log: "Warn", message: "logs of an agent cannot be announced" }),
      { discard: true }
    )

  const batchCreateLogs = Effect.fnUntraced(
    function* (request: BatchCreateLogsRequest) {
      const { identity, receiptTime } = yield* AgentSession
      const { agentId } = identity
      const appended = yield* store.append(agentId, {
        sourceId: request.log_source_id === nil ? null : request.log_source_id,
        receivedAt: yield* receiptTime.now,
        lines: request.logs.map(({ level, output }) => ({
          level: level === "level_unspecified" ? "info" : level,
          output: AgentLog.cut(output)
        }))
      })
      if (appended.limit === "crossed") {
        yield* Effect.annotateLogs(Effect.logWarning("an agent has logged as much as it may"), { agentId })
      }
      yield* announce(agentId, appended)
      return { log_limit_exceeded: appended.limit !== "kept" }
    },
    Effect.catchTag("StoreError", unavailable)
  )

  return { BatchCreateLogs: batchCreateLogs }
})

const encodeAnnouncement = Schema.encodeSync(AgentLog.Announcement)

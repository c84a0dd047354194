/** The forms of log lines in responses. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { type AgentLog, LogId } from "../../../src/domain/AgentLog.ts"
import { LogSourceId } from "../../../src/domain/Ids.ts"
import * as LogLines from "../../../src/watch/internal/logLines.ts"
import type { LogEvent } from "../../../src/watch/LogWatch.ts"
import { created, sourceId } from "../../support/logWatch.ts"
import { agent } from "../../support/metadataBatcher.ts"

const line = (id: number, rest: Partial<AgentLog> = {}): AgentLog => ({
  id: LogId.make(id),
  created_at: DateTime.makeUnsafe(1_500),
  level: "warn",
  output: `line ${id}`,
  source_id: sourceId,
  ...rest
})

/** A line as JSON has it. */
const shown = (id: number) => ({
  id,
  created_at: "1970-01-01T00:00:01.500Z",
  level: "warn",
  output: `line ${id}`,
  source_id: sourceId
})

const textOf = (response: HttpServerResponse.HttpServerResponse) =>
  Effect.promise(() => HttpServerResponse.toWeb(response).text())

const contentType = (response: HttpServerResponse.HttpServerResponse) => response.headers["content-type"]

describe("log lines", () => {
  it.effect("are one list in JSON, however many pages they come in [WA-28]", () =>
    Effect.gen(function* () {
      const lists: ReadonlyArray<Stream.Stream<AgentLog>> = [
        Stream.empty,
        Stream.make(line(1), line(2)),
        Stream.concat(Stream.make(line(1), line(2)), Stream.make(line(3)))
      ]
      const texts = yield* Effect.forEach(lists, (lines) => textOf(LogLines.asJson(lines)))

      assert.deepStrictEqual(
        texts.map((text) => JSON.parse(text)),
        [[], [shown(1), shown(2)], [shown(1), shown(2), shown(3)]]
      )
      assert.strictEqual(contentType(LogLines.asJson(Stream.empty)), "application/json")
    })
  )

  it.effect("are a line of text each, with the name of the source if the agent has it [WA-29]", () =>
    Effect.gen(function* () {
      const source = {
        workspace_agent_id: agent(1),
        id: sourceId,
        created_at: "1970-01-01T00:00:00Z",
        display_name: "Startup",
        icon: ""
      }
      const other = LogSourceId.make("20000000-0000-4000-8000-000000000002")
      const response = LogLines.asText(Stream.make(line(1), line(2, { source_id: other, level: "error" })), {
        name: "main",
        log_sources: [source]
      })

      assert.strictEqual(contentType(response), "text/plain; charset=utf-8")
      assert.strictEqual(
        yield* textOf(response),
        "1970-01-01T00:00:01.500Z [warn] [agent.main|Startup] line 1\n1970-01-01T00:00:01.500Z [error] [agent.main] line 2\n"
      )
    })
  )

  it.effect("are a list in each message of a WebSocket, the first one also if it is empty [WA-30]", () =>
    Effect.gen(function* () {
      const lifecycle: LogEvent = { type: "lifecycle", data: created }
      const logs: LogEvent = { type: "logs", data: [line(1)] }
      const messages = (...events: ReadonlyArray<LogEvent>) =>
        Effect.map(Stream.runCollect(LogLines.asMessages(Stream.fromIterable(events))), (texts) =>
          texts.map((text) => JSON.parse(text))
        )

      assert.deepStrictEqual(yield* messages(lifecycle, { type: "ping" }, logs, lifecycle), [[], [shown(1)]])
      assert.deepStrictEqual(yield* messages(logs, lifecycle, logs), [[shown(1)], [shown(1)]])
    })
  )
})

/** The forms of log lines in responses: a list in JSON, text, and lists for a WebSocket. */
import { DateTime, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { AgentLog } from "../../domain/AgentLog.ts"
import type { Agent } from "../AgentReader.ts"
import type { LogEvent } from "../LogWatch.ts"

type Lines<E> = Stream.Stream<AgentLog, E>

const encodeLines = Schema.encodeSync(Schema.fromJsonString(Schema.Array(AgentLog)))

/** Responds with a list of lines. */
export const asJson = <E>(lines: Lines<E>): HttpServerResponse.HttpServerResponse => {
  const items = Stream.mapArray(lines, (page) => [encodeLines(page).slice(1, -1)] as const).pipe(
    Stream.intersperse(",")
  )
  return HttpServerResponse.stream(
    Stream.encodeText(Stream.concat(Stream.concat(Stream.make("["), items), Stream.make("]"))),
    { contentType: "application/json" }
  )
}

/** Responds with a line of text for each line: its time, its level, the agent with the source, and the output. */
export const asText = <E>(
  lines: Lines<E>,
  { log_sources, name }: Pick<Agent, "log_sources" | "name">
): HttpServerResponse.HttpServerResponse => {
  const sources = new Map(log_sources.map(({ display_name, id }) => [id, `|${display_name}`]))
  return HttpServerResponse.stream(
    lines.pipe(
      Stream.map(
        ({ created_at, level, output, source_id }) =>
          `${DateTime.formatIso(created_at)} [${level}] [agent.${name}${sources.get(source_id) ?? ""}] ${output}\n`
      ),
      Stream.encodeText
    ),
    { contentType: "text/plain; charset=utf-8" }
  )
}

/** Returns the messages of a log watch over a WebSocket. The first one has the stored lines, also if there are none. */
export const asMessages = (events: Stream.Stream<LogEvent>): Stream.Stream<string> =>
  Stream.mapAccum(
    events,
    () => true,
    (isFirst, event) => {
      if (event.type === "logs") return [false, [encodeLines(event.data)]] as const
      return [false, isFirst ? ["[]"] : []] as const
    }
  )

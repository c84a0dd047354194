/**
 * How logs are written: for people on a terminal, as JSON lines for everything else.
 *
 * - Whatever the format, records pass through {@link Redaction} first.
 * - What is logged within a span that is sampled has the ids of its trace and span.
 */
import { Context, Formatter, Layer, Logger, type LogLevel, References, Tracer } from "effect"
import * as Redaction from "./Redaction.ts"

export interface Options {
  readonly format: "auto" | "pretty" | "json"
  readonly level: LogLevel.LogLevel
}

export const layer = ({ format, level }: Options): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.layer([
      Logger.withConsoleLog(
        format === "pretty" || (format === "auto" && process.stdout.isTTY) ? terminal(process.stdout.isTTY) : json
      )
    ]),
    Layer.succeed(References.MinimumLogLevel, level)
  )

/** What is written of a record, without secrets. */
const record = Logger.make<unknown, Record>((options) => {
  const { annotations, cause, level, message, timestamp } = Logger.formatStructured.log(options)
  const span = Context.getOrUndefined(options.fiber.context, Tracer.ParentSpan)
  // those of the native tracer are nowhere to be found
  const isTraced = span?.sampled === true && options.fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer
  return {
    timestamp,
    level,
    message: Redaction.deep(message),
    annotations: Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [name, Redaction.named(name, value)])
    ),
    ...(cause === undefined ? {} : { cause: Redaction.text(cause) }),
    ...(isTraced ? { traceId: span.traceId, spanId: span.spanId } : {})
  }
})

interface Record {
  readonly timestamp: string
  readonly level: string
  readonly message: unknown
  readonly annotations: Readonly<{ [name: string]: unknown }>
  readonly cause?: string
  readonly traceId?: string
  readonly spanId?: string
}

/** One line of JSON. */
export const json: Logger.Logger<unknown, string> = Logger.map(record, (record) => Formatter.formatJson(record))

/** One line, and below it the cause. */
export const terminal = (colors: boolean): Logger.Logger<unknown, string> =>
  Logger.map(record, ({ annotations, cause, level, message, timestamp, traceId }) => {
    const paint = (color: number | undefined, text: string) =>
      colors && color !== undefined ? `\u001b[${color}m${text}\u001b[0m` : text
    const fields = Object.entries({ ...annotations, ...(traceId === undefined ? {} : { trace: traceId }) })
    return [
      paint(gray, timestamp.slice(11, 23)),
      paint(levelColors[level], level.padEnd(5)),
      (Array.isArray(message) ? message : [message]).map(written).join(" "),
      ...fields.map(([name, value]) => `${paint(gray, `${name}=`)}${written(value)}`)
    ]
      .join(" ")
      .concat(cause === undefined ? "" : `\n${cause.replaceAll(/^/gm, "  ")}`)
  })

const written = (value: unknown) => (typeof value === "string" ? value : Formatter.formatJson(value))

const gray = 90

const levelColors: Readonly<{ [level: string]: number }> = { FATAL: 31, ERROR: 31, WARN: 33, INFO: 32, DEBUG: 90 }

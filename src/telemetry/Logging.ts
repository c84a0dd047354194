/**
 * Writes logs: readable lines on a terminal, JSON lines elsewhere.
 *
 * - In both formats a record is a {@link LogRecord}.
 * - Characters that control terminals, begin lines or change the direction of text are escaped, whatever their source:
 *   no value of a caller can forge a record or control the terminal.
 * - At most {@link burst} warnings or errors with the same message are written in ten seconds, so that nobody can fill
 *   a disk with bad requests. The next one says how many were suppressed.
 */
import { Console, Formatter, Layer, Logger, type LogLevel, References } from "effect"
import * as Throttle from "./internal/throttle.ts"
import * as LogRecord from "./LogRecord.ts"

export { burst } from "./internal/throttle.ts"

export interface Options {
  readonly format: "auto" | "pretty" | "json"
  readonly level: LogLevel.LogLevel
  /** Whether to use terminal colours. Default: when standard output is a terminal. */
  readonly colors?: boolean | undefined
  /** Where records go: to standard error when standard output is for data. Default `log`, which is standard output. */
  readonly to?: "log" | "error" | undefined
}

export const layer = ({ colors = process.stdout.isTTY, format, level, to }: Options): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.layer([
      throttled(format === "pretty" || (format === "auto" && process.stdout.isTTY) ? terminal(colors) : json, to)
    ]),
    Layer.succeed(References.MinimumLogLevel, level)
  )

type Format = (record: LogRecord.LogRecord) => string

/** Writes records to the console, except those that come too often. */
export const throttled = (format: Format, to: Options["to"] = "log"): Logger.Logger<unknown, void> => {
  const admit = Throttle.make()
  return Logger.make((options) => {
    const { date, fiber, logLevel, message } = options
    const [kind] = Array.isArray(message) ? message : [message]
    const suppressed = logLevel === "Warn" || logLevel === "Error" ? admit(String(kind), date.getTime()) : 0
    if (suppressed !== undefined) fiber.getRef(Console.Console)[to](format(LogRecord.make(options, suppressed)))
  })
}

/** Formats a record as one line of JSON. */
export const json: Format = (record) => escape(Formatter.formatJson(record))

/** Formats a record as one line, followed by the stack of a defect. */
export const terminal =
  (colors: boolean): Format =>
  ({ annotations, cause, error, level, message, sqlState, statement, suppressed, timestamp, traceId }) => {
    const paint = (color: number | undefined, text: string) =>
      colors && color !== undefined ? `\u001b[${color}m${text}\u001b[0m` : text
    const fields = Object.entries({ ...annotations, sqlState, statement, suppressed, trace: traceId }).filter(
      ([, value]) => value !== undefined
    )
    return [
      paint(gray, timestamp.slice(11, 23)),
      paint(levelColors[level], level.padEnd(5)),
      error === undefined ? escape(message) : `${escape(message)}: ${escape(error)}`,
      ...fields.map(([name, value]) => `${paint(gray, `${escape(name)}=`)}${escape(written(value))}`)
    ]
      .join(" ")
      .concat(...(cause ?? "").split("\n").flatMap((line) => (line === "" ? [] : [`\n  ${escape(line)}`])))
  }

const written = (value: unknown) => (typeof value === "string" ? value : Formatter.formatJson(value))

// control characters, and those that separate lines or change the direction of text
const steering = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu

/** Escapes a character as JSON does, so that text within JSON keeps its meaning. */
const escape = (text: string): string =>
  text.replaceAll(steering, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

const gray = 90

const levelColors: Readonly<Record<string, number>> = { FATAL: 31, ERROR: 31, WARN: 33, INFO: 32, DEBUG: 90 }

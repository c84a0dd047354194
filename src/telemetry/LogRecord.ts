/**
 * Turns a log entry into a record that is the same for every format.
 *
 * - The message is one text. `error` describes the errors beside the message without their stacks: the messages of the
 *   error and of its causes. Only `cause` contains a stack, for defects.
 * - A database error adds `sqlState` and `statement`, the name of the operation. Its message is kept without the data
 *   that it quotes.
 * - Secrets are replaced, by the rules of {@link Redaction}.
 * - A record within a sampled span contains the ids of its trace and span.
 */
import { Cause, Context, type Fiber, type Logger, References, Tracer } from "effect"
import * as Redaction from "./Redaction.ts"

export interface LogRecord {
  readonly timestamp: string
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
  readonly error?: string
  readonly sqlState?: string
  readonly statement?: string
  readonly cause?: string
  /** The number of records of the same kind that were suppressed before this one. */
  readonly suppressed?: number
  readonly traceId?: string
  readonly spanId?: string
}

export const make = ({ cause, date, fiber, logLevel, message }: Logger.Options<unknown>, suppressed = 0): LogRecord => {
  const parts = Array.isArray(message) ? message : [message]
  const errors = [...parts.filter(isError), ...cause.reasons.filter(Cause.isFailReason).map(({ error }) => error)]
  const defects = Cause.fromReasons(cause.reasons.filter(Cause.isDieReason))
  return {
    timestamp: date.toISOString(),
    level: logLevel.toUpperCase(),
    message: parts
      .filter((part) => !isError(part))
      .map(toText)
      .join(" "),
    annotations: Object.fromEntries(
      Object.entries(fiber.getRef(References.CurrentLogAnnotations)).map(([name, value]) => [
        name,
        Redaction.named(name, plain(value))
      ])
    ),
    ...(errors.length === 0 ? {} : describe(errors)),
    ...(defects.reasons.length === 0 ? {} : { cause: Redaction.text(Cause.pretty(defects)) }),
    ...(suppressed === 0 ? {} : { suppressed }),
    ...spanOf(fiber)
  }
}

const isError = (value: unknown): value is Error => value instanceof Error

/** The maximum depth of nested causes that are described. */
const maxDepth = 8

const describe = (errors: ReadonlyArray<unknown>) => {
  const messages = new Set<string>()
  let sqlState: string | undefined
  let statement: string | undefined
  for (let link of errors) {
    for (let depth = 0; depth < maxDepth && link !== undefined && link !== null; depth++) {
      const fields: Readonly<Record<string, unknown>> = typeof link === "object" ? { ...link } : {}
      const { code, operation } = fields
      const isState = typeof code === "string" && /^[\dA-Z]{5}$/.test(code)
      if (isState) sqlState ??= code
      if (typeof operation === "string") statement ??= operation
      const message = messageOf(link)
      if (message !== "") messages.add(isState && bearsData.test(code) ? withoutQuotes(message) : message)
      link = typeof link === "object" ? (link as { readonly cause?: unknown }).cause : undefined
    }
  }
  return {
    error: Redaction.text([...messages].join(": ")),
    ...(sqlState === undefined ? {} : { sqlState }),
    ...(statement === undefined ? {} : { statement: Redaction.text(statement) })
  }
}

const messageOf = (link: unknown): string => {
  if (typeof link === "string") return link
  if (typeof link !== "object" || link === null) return String(link)
  const { message } = link as { readonly message?: unknown }
  return typeof message === "string" ? message : ""
}

/** Matches the SQLSTATE classes of errors whose messages quote data. */
const bearsData = /^(?:21|22|23)/

const withoutQuotes = (message: string) => message.replaceAll(/"[^"]*"/g, '"…"')

const toText = (part: unknown): string => {
  const redacted = Redaction.deep(plain(part))
  return typeof redacted === "string" ? redacted : (JSON.stringify(redacted) ?? String(redacted))
}

/** Returns the JSON form of a value that has one. */
const plain = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "toJSON" in value && typeof value.toJSON === "function"
    ? value.toJSON()
    : typeof value === "bigint"
      ? String(value)
      : value

const spanOf = (fiber: Fiber.Fiber<unknown, unknown>) => {
  const span = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
  // spans of the native tracer are never sent
  return span?.sampled === true && fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer
    ? { traceId: span.traceId, spanId: span.spanId }
    : {}
}

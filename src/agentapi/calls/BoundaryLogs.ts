/**
 * `ReportBoundaryLogs`: an agent reports the requests of a program that it runs within a boundary.
 *
 * - Each HTTP request becomes one log record with its decision and, if the request was allowed, the rule that allowed
 *   it.
 * - A URL is logged without its query, fragment and credentials, because any of them may be a secret. Paths are assumed
 *   not to be secret.
 * - Long texts are cut after their secrets are removed, because a cut secret may not look like one.
 * - A log that is not an HTTP request is skipped and not counted. All of a report's skipped logs are one warning.
 * - The requests of a report are counted together.
 */
import { DateTime, Effect, Schema } from "effect"
import { Rpc } from "effect/rpc"
import { OptionalText } from "../../domain/PostgresText.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { BoundaryUsage } from "../../usage/BoundaryUsage.ts"
import { int32, list, time } from "../../domain/Fields.ts"
import * as Redaction from "../../telemetry/Redaction.ts"

const BoundaryLog = Schema.Struct({
  allowed: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
  time: Schema.optionalKey(time),
  /** The place of the log in its session. Older agents send none. */
  sequence_number: int32,
  http_request: Schema.optionalKey(
    Schema.Struct({ method: OptionalText, url: OptionalText, matched_rule: OptionalText })
  )
})
type BoundaryLog = typeof BoundaryLog.Type

/** The longest method, and the longest URL and rule, of a log record in characters. The rest is cut off. */
const maxMethod = 32
const maxText = 2_048

/** The most requests of one report: each becomes a record in the log. */
const maxLogs = 10_000

export const ReportBoundaryLogsRequest = Schema.Struct({
  logs: list(BoundaryLog).check(Schema.isMaxLength(maxLogs, { expected: `at most ${maxLogs} logs` })),
  /** Accepted and ignored. */
  session_id: OptionalText,
  /** Accepted and ignored. */
  confined_process_name: OptionalText
})
export type ReportBoundaryLogsRequest = typeof ReportBoundaryLogsRequest.Type

export const ReportBoundaryLogs = Rpc.make("ReportBoundaryLogs", {
  payload: ReportBoundaryLogsRequest,
  success: Schema.Struct({})
})

export const make = Effect.gen(function* () {
  const usage = yield* BoundaryUsage

  const reportBoundaryLogs = Effect.fnUntraced(function* ({ logs }: ReportBoundaryLogsRequest) {
    const { identity } = yield* AgentSession
    const { agentId, templateVersionId, workspace } = identity
    const about = {
      agentId,
      workspaceId: workspace.id,
      templateId: workspace.templateId,
      templateVersionId
    }
    const requests = logs.filter(isHttp)
    yield* Effect.forEach(
      requests,
      (log) => Effect.annotateLogs(Effect.logInfo("boundary request"), { ...about, ...describe(log) }),
      { discard: true }
    )
    if (requests.length < logs.length) {
      yield* Effect.annotateLogs(Effect.logWarning("boundary logs of an unknown kind skipped"), {
        ...about,
        skipped: logs.length - requests.length
      })
    }
    if (requests.length > 0) {
      const allowed = requests.filter((log) => log.allowed).length
      yield* usage.track({
        workspaceId: workspace.id,
        userId: workspace.ownerId,
        allowed,
        denied: requests.length - allowed
      })
    }
    return {}
  })

  return { ReportBoundaryLogs: reportBoundaryLogs }
})

type HttpLog = BoundaryLog & Required<Pick<BoundaryLog, "http_request">>

const isHttp = (log: BoundaryLog): log is HttpLog => log.http_request !== undefined

const describe = ({ allowed, http_request, sequence_number, time }: HttpLog) => ({
  decision: allowed ? "allow" : "deny",
  method: http_request.method.slice(0, maxMethod),
  url: withoutSecrets(http_request.url).slice(0, maxText),
  ...(sequence_number === 0 ? {} : { sequenceNumber: sequence_number }),
  ...(time === undefined ? {} : { time: DateTime.formatIso(time) }),
  ...(allowed ? { matchedRule: Redaction.text(http_request.matched_rule).slice(0, maxText) } : {})
})

/** Returns the part of a URL before the query and the fragment, without credentials. The time is linear. */
export const withoutSecrets = (url: string): string =>
  url.replace(/[?#].*$/s, "").replace(/^([a-z][a-z\d+.-]*:[/\\]+|[/\\]{2,})?[^/\\]*@/i, "$1")

/**
 * `ReportBoundaryLogs`: an agent reports the requests of a program that it keeps within a boundary.
 *
 * - Each HTTP request is one log record with the decision about it, and with the rule that has allowed it.
 * - A URL is logged without its query, its fragment and its credentials: any of them may be a secret. A path is not known
 *   to be one.
 * - What is no HTTP request is skipped, with one warning for the whole report, and not counted.
 * - The requests of a report are counted at once, unless there are none.
 */
import { DateTime, Effect, Schema } from "effect"
import { Rpc } from "effect/rpc"
import { OptionalText } from "../../domain/PostgresText.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { BoundaryUsage } from "../../usage/BoundaryUsage.ts"
import { list, time } from "../../domain/Fields.ts"

const BoundaryLog = Schema.Struct({
  allowed: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
  time: Schema.optionalKey(time),
  http_request: Schema.optionalKey(
    Schema.Struct({ method: OptionalText, url: OptionalText, matched_rule: OptionalText })
  )
})
type BoundaryLog = typeof BoundaryLog.Type

/** The most requests of one report: each becomes a record in the log. */
const maxLogs = 10_000

export const ReportBoundaryLogsRequest = Schema.Struct({
  logs: list(BoundaryLog).check(Schema.isMaxLength(maxLogs, { expected: `at most ${maxLogs} logs` })),
  /** Taken and not looked at. */
  session_id: OptionalText,
  /** Taken and not looked at. */
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
      (log) => Effect.annotateLogs(Effect.logInfo("a request met a boundary"), { ...about, ...describe(log) }),
      { discard: true }
    )
    if (requests.length < logs.length) {
      yield* Effect.annotateLogs(Effect.logWarning("boundary logs of an unknown kind were skipped"), {
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

const describe = ({ allowed, http_request, time }: HttpLog) => ({
  decision: allowed ? "allow" : "deny",
  method: http_request.method,
  url: withoutSecrets(http_request.url),
  ...(time === undefined ? {} : { time: DateTime.formatIso(time) }),
  ...(allowed ? { matchedRule: http_request.matched_rule } : {})
})

/** What stands before a query or a fragment, without credentials before the host. */
const withoutSecrets = (url: string): string =>
  url.replace(/[?#].*$/s, "").replace(/^([a-z][a-z\d+.-]*:[/\\]+|[/\\]{2,})?[^/\\]*@/i, "$1")

/**
 * `ReportConnection`: an agent reports that a person's session with it, such as SSH or an editor, has started or ended.
 *
 * - The start and the end of a session are one record, whichever is reported first and however often.
 * - The workspace is the cached one; it is read only if there is none. No agent row is read.
 * - A status code and a reason count at the end of a session only.
 * - A long reason and a long name of an app are cut: an agent does not report again what was refused.
 * - An invalid address and an empty reason are left out. The address `localhost` is 127.0.0.1.
 */
import { DateTime, Effect, Option, Result, Schema } from "effect"
import { NetAddress } from "effect/net"
import { Rpc } from "effect/rpc"
import { UserSessionId, nil } from "../../domain/Ids.ts"
import { cutText, OptionalText } from "../../domain/PostgresText.ts"
import { unavailable, Unavailable } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { int32, time, upperCaseEnum, zeroTime } from "../../domain/Fields.ts"
import { UserSessionStore, userSessionTypes } from "../ports/UserSessionStore.ts"

/** The longest reason and name of an app, in characters. */
const maxText = 2_048

const Type = upperCaseEnum(...userSessionTypes)

const Connection = Schema.Struct({
  id: UserSessionId.check(Schema.makeFilter((id) => id !== nil, { expected: "an id other than the nil id" })),
  action: upperCaseEnum("connect", "disconnect"),
  type: Type,
  /** Default, also for the zero time: the time of receipt. */
  timestamp: Schema.optionalKey(time),
  ip: OptionalText,
  status_code: int32,
  reason: cutText(maxText),
  app_name: cutText(maxText)
})

export const ReportConnectionRequest = Schema.Struct({ connection: Connection })
export type ReportConnectionRequest = typeof ReportConnectionRequest.Type

export const ReportConnection = Rpc.make("ReportConnection", {
  payload: ReportConnectionRequest,
  success: Schema.Struct({}),
  error: Unavailable
})

export const make = Effect.gen(function* () {
  const store = yield* UserSessionStore

  const reportConnection = Effect.fnUntraced(
    function* ({ connection }: ReportConnectionRequest) {
      const session = yield* AgentSession
      const { timestamp } = connection
      yield* store.record({
        connectionId: connection.id,
        agentName: session.identity.agentName,
        workspace: yield* session.workspace,
        type: connection.type,
        at: timestamp === undefined || DateTime.Equivalence(timestamp, zeroTime) ? yield* DateTime.now : timestamp,
        ip: toIp(connection.ip),
        appName: orNull(connection.app_name),
        end:
          connection.action === "disconnect"
            ? { code: connection.status_code, reason: orNull(connection.reason) }
            : null
      })
      return {}
    },
    Effect.catchTag("StoreError", unavailable)
  )

  return { ReportConnection: reportConnection }
})

/** The longest text of an address: an IPv6 address with an embedded IPv4 address. */
const maxIp = 45

const toIp = (text: string): string | null =>
  text.length > maxIp
    ? null
    : text === "localhost"
      ? "127.0.0.1"
      : Option.getOrNull(Option.map(Result.getSuccess(NetAddress.ipFromString(text)), NetAddress.formatIp))

const orNull = (text: string): string | null => (text === "" ? null : text)

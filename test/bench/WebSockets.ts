/** Bare WebSockets to a server: the least that a process needs to talk to it. */
import { Data, Effect, type Scope } from "effect"
import { WebSocket } from "ws"
import { subprotocol } from "../../src/agentapi/AgentSocketApi.ts"
import * as Token from "../../src/access/Token.ts"

export class CannotConnect extends Data.TaggedError("CannotConnect")<{ readonly detail: string }> {
  override get message() {
    return `cannot connect: ${this.detail}`
  }
}

/** Opens a WebSocket to a path of the server at `url`, as whom the token is of. It is cut off with the scope. */
export const open = (
  url: string,
  path: string,
  token: string,
  protocols: Array<string> = [subprotocol]
): Effect.Effect<WebSocket, CannotConnect, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback((resume) => {
      const socket = new WebSocket(new URL(path, url.replace("http", "ws")), protocols, {
        headers: { [Token.header]: token },
        perMessageDeflate: false
      })
      socket.once("open", () => resume(Effect.succeed(socket)))
      socket.once("error", ({ message }) => resume(Effect.fail(new CannotConnect({ detail: message }))))
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

/**
 * A WebSocket of the server that passes text on as the bytes that came in, and that can be found by its TCP connection.
 *
 * - A text message is not decoded: its reader would have to encode it again to know its size.
 * - The platform hands out a socket without pings; {@link webSocketOf} returns the WebSocket beneath it.
 */
import * as NodeWS from "@effect/platform-node/NodeWS"
import { Duplex } from "node:stream"

const open = new WeakMap<Duplex, ByteWebSocket>()

export class ByteWebSocket extends NodeWS.WebSocket {
  override emit(event: string | symbol, ...args: Array<unknown>): boolean {
    if (event === "message") return super.emit(event, args[0], true)
    if (event === "open" && "_socket" in this && this._socket instanceof Duplex) open.set(this._socket, this)
    return super.emit(event, ...args)
  }
}

/** The WebSocket that runs over a TCP connection, once the connection is one. */
export const webSocketOf = (tcp: Duplex): ByteWebSocket | undefined => open.get(tcp)

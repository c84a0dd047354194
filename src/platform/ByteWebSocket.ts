/**
 * A WebSocket of the server that passes text on as the bytes that came in, and that can be found by its TCP connection.
 *
 * - A text message is not decoded: its reader would have to encode it again to know its size.
 * - The platform hands out a socket without pings; {@link webSocketOf} returns the WebSocket beneath it.
 * - A receiver of messages takes the place of all listeners: it gets each message at once, without a copy.
 */
import * as NodeWS from "@effect/platform-node/NodeWS"
import { Duplex } from "node:stream"

const open = new WeakMap<Duplex, ByteWebSocket>()

type Receiver = (message: Buffer) => void

const receivers = new WeakMap<Duplex, Receiver>()

export class ByteWebSocket extends NodeWS.WebSocket {
  #receive: Receiver | undefined

  override emit(event: string | symbol, ...args: Array<unknown>): boolean {
    if (event === "message") {
      if (this.#receive === undefined) return super.emit(event, args[0], true)
      // messages of a WebSocket that somebody has set to another type are copies
      this.#receive(args[0] instanceof ArrayBuffer ? Buffer.from(args[0]) : (args[0] as Buffer))
      return true
    }
    if (event === "open" && "_socket" in this && this._socket instanceof Duplex) {
      open.set(this._socket, this)
      this.#receive = receivers.get(this._socket)
    }
    return super.emit(event, ...args)
  }
}

/** Lets `receive` take the messages of the WebSocket that a TCP connection is about to become. */
export const setReceiver = (tcp: Duplex, receive: Receiver): void => void receivers.set(tcp, receive)

/** The WebSocket that runs over a TCP connection, once the connection is one. */
export const webSocketOf = (tcp: Duplex): ByteWebSocket | undefined => open.get(tcp)

/**
 * A WebSocket of the server that hands on text as the bytes that came in. Whoever reads it would otherwise make a text of
 * them, and bytes of the text again to know how many they are.
 */
import * as NodeWS from "@effect/platform-node/NodeWS"

export class ByteWebSocket extends NodeWS.WebSocket {
  override emit(event: string | symbol, ...args: Array<unknown>): boolean {
    return event === "message" ? super.emit(event, args[0], true) : super.emit(event, ...args)
  }
}

/**
 * A process of many agents that are cheap, so that a shared machine measures the service and not its callers.
 *
 * Each opens a WebSocket with its own token, sends one report, counts as connected once the service has accepted it,
 * answers pings, and connects again a second after it lost the connection. The parent sends the agents, and gets the
 * number of those connected and of the attempts so far.
 */
import * as Crypto from "node:crypto"
import * as Net from "node:net"
import { path, subprotocol } from "../../src/agentapi/AgentSocketApi.ts"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"

export interface Start {
  readonly url: string
  readonly tokens: ReadonlyArray<string>
}

export interface State {
  readonly connected: number
  readonly attempts: number
}

const opcodes = { text: 1, close: 8, ping: 9, pong: 10 }

let connected = 0
let attempts = 0
let isReporting = false

const report = () => {
  if (isReporting) return
  isReporting = true
  setImmediate(() => {
    isReporting = false
    process.send?.({ connected, attempts } satisfies State)
  })
}

/** A frame of a client, masked with zeros. */
const frame = (opcode: number, payload: Buffer) => {
  const header =
    payload.length < 126
      ? Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0])
      : Buffer.from([0x80 | opcode, 0x80 | 126, payload.length >> 8, payload.length & 0xff, 0, 0, 0, 0])
  return Buffer.concat([header, payload])
}

const hello = frame(opcodes.text, Buffer.from(Agent.report("1", Agent.sample("key-0", "1"))))

const connect = (target: URL, token: string) => {
  attempts++
  const socket = Net.connect({ host: target.hostname, port: Number(target.port), noDelay: true })
  let rest = Buffer.alloc(0)
  let isUpgraded = false
  let isConnected = false

  const onFrame = (opcode: number, payload: Buffer) => {
    if (opcode === opcodes.ping) socket.write(frame(opcodes.pong, payload))
    if (opcode === opcodes.close) socket.end()
    if (opcode === opcodes.text && !isConnected && payload.includes('"Success"')) {
      isConnected = true
      connected++
      report()
    }
  }
  const takeUpgrade = () => {
    const end = rest.indexOf("\r\n\r\n")
    if (end === -1) return false
    isUpgraded = rest.subarray(0, 12).toString() === "HTTP/1.1 101"
    rest = rest.subarray(end + 4)
    if (isUpgraded) socket.write(hello)
    else socket.destroy()
    return isUpgraded
  }
  const takeFrame = () => {
    if (rest.length < 2) return false
    const short = rest[1]! & 0x7f
    const start = short === 126 ? 4 : 2
    if (rest.length < start) return false
    const end = start + (short === 126 ? rest.readUInt16BE(2) : short)
    if (rest.length < end) return false
    onFrame(rest[0]! & 0x0f, rest.subarray(start, end))
    rest = rest.subarray(end)
    return true
  }

  socket.on("connect", () => {
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: ${target.host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${Crypto.randomBytes(16).toString("base64")}`,
      `Sec-WebSocket-Protocol: ${subprotocol}`,
      `${Token.header}: ${token}`
    ]
    socket.write(`${lines.join("\r\n")}\r\n\r\n`)
  })
  socket.on("data", (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (isUpgraded ? takeFrame() : takeUpgrade());
  })
  socket.on("error", () => {})
  socket.on("close", () => {
    if (isConnected) connected--
    report()
    // as the agent of the original: from one second on, with jitter
    setTimeout(connect, 1_000 * (0.8 + 0.4 * Math.random()), target, token)
  })
}

process.once("message", ({ tokens, url }: Start) => {
  const target = new URL(url)
  for (const token of tokens) connect(target, token)
})

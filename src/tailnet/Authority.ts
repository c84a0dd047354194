/**
 * The requests that a peer may make of the coordinator.
 *
 * - An agent opens no tunnels, and has no other addresses than those that follow from its id.
 * - A client of one agent opens tunnels to that agent alone; a user's client to every agent that the user may reach.
 * - Clients do not acknowledge handshakes, and have addresses of a single host each.
 * - A refusal has the text of the original.
 */
import { Data, Effect, Result } from "effect"
import { isIP } from "node:net"
import type { AgentId } from "../domain/Ids.ts"
import * as Redaction from "../telemetry/Redaction.ts"
import { type PeerId, type Request, toBytes } from "./Peer.ts"

/** A request that its peer may not make. */
export class Refused extends Data.TaggedError("Refused")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

export interface Authority {
  /** Fails if the request may not be made. */
  readonly authorize: (request: Request) => Effect.Effect<void, Refused>
}

/** May do everything: the server itself. */
export const all: Authority = { authorize: () => Effect.void }

/** The rights of an agent. */
export const agent = (id: AgentId): Authority => {
  const own = ownAddresses(id)
  return {
    authorize: ({ addTunnel, updateSelf }) => {
      if (addTunnel !== undefined) return refuse("agents cannot open tunnels")
      if (updateSelf === undefined) return Effect.void
      return checkAddresses([...updateSelf.addresses, ...updateSelf.allowedIps], (address) => own.has(address))
    }
  }
}

/** The rights of a client that was let in for one agent. */
export const clientOf = (id: AgentId): Authority => ({
  authorize: (request) => {
    const { addTunnel } = request
    if (addTunnel !== undefined && (addTunnel as string) !== id) {
      return refuse(`invalid agent id, expected ${id}, got ${addTunnel}`)
    }
    return clientRules(request)
  }
})

/** The rights of a user's client; `mayReach` returns whether the user may open a tunnel to an agent. */
export const user = (mayReach: (id: PeerId) => Effect.Effect<boolean, Refused>): Authority => ({
  authorize: (request) => {
    const { addTunnel } = request
    if (addTunnel === undefined) return clientRules(request)
    return Effect.andThen(
      clientRules(request),
      Effect.flatMap(mayReach(addTunnel), (may) =>
        may ? Effect.void : refuse("workspace agent not found or you do not have permission")
      )
    )
  }
})

const clientRules = ({ readyForHandshake, updateSelf }: Request): Effect.Effect<void, Refused> => {
  if (readyForHandshake !== undefined && readyForHandshake.length > 0) {
    return refuse("clients may not send ready_for_handshake")
  }
  return updateSelf === undefined ? Effect.void : checkAddresses(updateSelf.addresses, () => true)
}

const checkAddresses = (texts: ReadonlyArray<string>, may: (address: string) => boolean) => {
  for (const text of texts) {
    const address = hostAddress(text)
    if (Result.isFailure(address)) return refuse(address.failure)
    if (!may(address.success)) return refuse(`invalid node address, got ${address.success}`)
  }
  return Effect.void
}

const refuse = (detail: string) => Effect.fail(new Refused({ detail }))

/** The beginning of a text that a peer has sent, without secrets: a part of a secret may not look like one. */
const quote = (text: string) => JSON.stringify(Redaction.text(text).slice(0, 64))

/** The addresses of an agent, in their canonical form. */
const ownAddresses = (id: AgentId): ReadonlySet<string> => {
  const end = Buffer.from(toBytes(id as string as PeerId).subarray(6)).toString("hex")
  return new Set([
    ...["fd7a115ca1e0", "fd60627aa42b"].map((prefix) =>
      canonical(`${prefix}${end}`.replaceAll(/(.{4})(?=.)/g, "$1:"))!
    ),
    canonical("fd7a:115c:a1e0:49d6:b259:b7ac:b1b2:48f4")!
  ])
}

/** The address in a text of the form `address/128`; otherwise why there is none. */
const hostAddress = (text: string): Result.Result<string, string> => {
  const [, address = "", bits] = /^([^/]*)\/(0|[1-9]\d{0,2})$/.exec(text) ?? []
  const version = isIP(address)
  if (version === 0 || Number(bits) > (version === 4 ? 32 : 128)) return notAnAddress(text)
  if (bits !== "128") return Result.fail(`invalid address bits, expected 128, got ${bits}`)
  const found = canonical(address)
  return found === undefined ? notAnAddress(text) : Result.succeed(found)
}

const notAnAddress = (text: string) => Result.fail(`parse node address: ${quote(text)} is not an address with its bits`)

/** An IPv6 address in the one form that a URL gives it, without brackets. */
const canonical = (address: string): string | undefined => URL.parse(`http://[${address}]/`)?.hostname.slice(1, -1)

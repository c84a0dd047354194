/**
 * The requests that a peer may make of the coordinator.
 *
 * - An agent opens no tunnels, and has no other addresses than those that follow from its id.
 * - A client of one agent opens tunnels to that agent alone; a user's client to every agent that the user may reach.
 * - Clients do not acknowledge handshakes, and have addresses of a single host each.
 */
import { Data, Effect } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import { type Node, type PeerId, type Request, toBytes } from "./Peer.ts"

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
      const foreign = [...updateSelf.addresses, ...updateSelf.allowedIps].find((text) => {
        const address = hostAddress(text)
        return address === undefined || !own.has(address)
      })
      return foreign === undefined ? Effect.void : refuse(`the address ${quote(foreign)} is not one of the agent's`)
    }
  }
}

/** The rights of a client that was let in for one agent. */
export const clientOf = (id: AgentId): Authority => ({
  authorize: (request) => {
    const { addTunnel } = request
    if (addTunnel !== undefined && (addTunnel as string) !== id) {
      return refuse(`tunnels may lead to the agent ${id} only`)
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
        may ? Effect.void : refuse(`there is no agent ${addTunnel}, or it may not be reached`)
      )
    )
  }
})

const clientRules = ({ readyForHandshake, updateSelf }: Request): Effect.Effect<void, Refused> => {
  if (readyForHandshake !== undefined && readyForHandshake.length > 0) {
    return refuse("clients cannot acknowledge handshakes")
  }
  const wide = updateSelf === undefined ? undefined : firstWide(updateSelf)
  return wide === undefined ? Effect.void : refuse(`the address ${quote(wide)} is not that of a single host`)
}

const firstWide = ({ addresses }: Node): string | undefined =>
  addresses.find((address) => hostAddress(address) === undefined)

const refuse = (detail: string) => Effect.fail(new Refused({ detail }))

/** The beginning of a text that a peer has sent. */
const quote = (text: string) => JSON.stringify(text.slice(0, 64))

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

/** The address in a text of the form `address/128`. */
const hostAddress = (prefix: string): string | undefined =>
  prefix.endsWith("/128") ? canonical(prefix.slice(0, -4)) : undefined

/** An IPv6 address in the one form that a URL gives it. */
const canonical = (address: string): string | undefined =>
  /^[0-9a-fA-F:.]{2,45}$/.test(address) ? URL.parse(`http://[${address}]/`)?.hostname : undefined

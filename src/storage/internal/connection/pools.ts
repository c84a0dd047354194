/** Keeps the sockets and the shares of the pool of each client that `Postgres` created, for the operations of stores. */
import type { PoolShares } from "./poolShares.ts"
import type { Sockets } from "./sockets.ts"

export interface Pool {
  readonly sockets: Sockets
  readonly shares: PoolShares
}

const pools = new WeakMap<object, Pool>()

export const register = (client: object, pool: Pool) => void pools.set(client, pool)

/** Returns the pool of a client that `Postgres` created. */
export const poolOf = (client: object): Pool | undefined => pools.get(client)

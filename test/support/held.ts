/** Resources that a process of the service holds. */
export interface Held {
  /** Fibers that run or wait. */
  readonly fibers: number
  /** Timers that are set. */
  readonly timers: number
  /** Sockets of agents and of people. */
  readonly clients: number
  /** All other sockets: those to the database. */
  readonly databaseConnections: number
  /** Channels that the database is asked for with LISTEN. */
  readonly channels: number
  readonly subscribers: number
  readonly connectedAgents: number
  /** In MiB, after a collection of garbage. */
  readonly heap: number
}

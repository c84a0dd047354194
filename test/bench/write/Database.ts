/** A Postgres with every agent's rows in it, and the adapters of the service on it. */
import { PgTypes } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../../../src/domain/Ids.ts"
import * as PgPubSub from "../../../src/pubsub/PgPubSub.ts"
import * as PgMetadataStore from "../../../src/storage/PgMetadataStore.ts"
import { array } from "../../../src/storage/internal/column.ts"
import * as Seed from "../../support/seed.ts"
import * as Meter from "../Meter.ts"
import * as Postgres from "../Postgres.ts"
import * as Workload from "../Workload.ts"

/** The agents of the database, in an order of chance. */
export class Agents extends Context.Service<Agents, ReadonlyArray<AgentId>>()("test/bench/write/Agents") {}

const fill = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  const agents = yield* Seed.agents(count, Workload.keys)
  // a smoke run shares the database with other parts
  yield* sql`
    INSERT INTO workspace_agent_metadata (workspace_agent_id, key, value)
    SELECT workspace_agent_id, key, repeat('.', 20) FROM workspace_agent_metadata_descriptions
    WHERE workspace_agent_id = ANY (${array(PgTypes.OID.uuid, agents)})`
  yield* sql`VACUUM ANALYZE`
  return agents
})

/** The server with so many agents and all their rows. */
const layer = (agents: number) =>
  Layer.mergeAll(PgMetadataStore.layer(), PgPubSub.layer(), Layer.effect(Agents, fill(agents))).pipe(
    Layer.provideMerge(Postgres.layerClient),
    Layer.provideMerge(Postgres.layerServer)
  )

/** Prepares tables over the server with so many agents, which stays as long as the scope is open. */
export const over = <A, E, R>(agents: number, tables: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Layer.build(layer(agents)), (services) => Effect.provideContext(tables, services))

/** Measures the writing of so many rows: the time, and the processor time of this process and of the server. */
export const read = Effect.fnUntraced(function* <E, R>(rows: number, work: Effect.Effect<unknown, E, R>) {
  const before = yield* Postgres.cpuMillis
  const { cpuMillis, millis } = yield* Meter.read(work)
  const after = yield* Postgres.cpuMillis
  return {
    millis,
    "rows/s": (rows / millis) * 1_000,
    "client CPU us/row": (cpuMillis * 1_000) / rows,
    ...serverCpu(before, after, rows)
  }
})

export const serverCpu = (before: number | undefined, after: number | undefined, rows: number) =>
  before === undefined || after === undefined ? {} : { "server CPU us/row": ((after - before) * 1_000) / rows }

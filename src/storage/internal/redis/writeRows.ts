/**
 * Writes batches to the nodes of Redis, with a call for each agent. A key that the nodes do not have is written by a second
 * call, once Postgres says that it is declared.
 */
import { Array as Arr, DateTime, Effect, Result } from "effect"
import type { AgentId } from "../../../domain/Ids.ts"
import type { MetadataRow } from "../../../domain/Metadata.ts"
import { StoreError } from "../../../domain/StoreError.ts"
import * as MetadataStoreMetrics from "../../../metadata/MetadataStoreMetrics.ts"
import { type CommandFailed, failedOperation, type RedisNodes } from "./redisNodes.ts"
import * as WriteScript from "./writeScript.ts"

export interface Options {
  readonly nodes: RedisNodes
  readonly hashOf: (agentId: AgentId) => string
  readonly presentFor: (time: number) => Effect.Effect<number>
  /** Returns those of the rows whose keys are declared. */
  readonly declaredOf: (rows: ReadonlyArray<MetadataRow>) => Effect.Effect<ReadonlyArray<MetadataRow>, StoreError>
}

interface Sum {
  stored: number
  ahead: number
  readonly missing: Array<MetadataRow>
  readonly changed: Set<AgentId>
  readonly failures: Array<CommandFailed>
}

/**
 * Returns how to write a batch, which returns the agents of whom a row changed. Its error names those of whom a row changed
 * nevertheless.
 */
export const make = ({ declaredOf, hashOf, nodes, presentFor }: Options) => {
  const writeIn = Effect.fnUntraced(function* (mode: WriteScript.Mode, rows: ReadonlyArray<MetadataRow>) {
    const sum: Sum = { stored: 0, ahead: 0, missing: [], changed: new Set(), failures: [] }
    if (rows.length === 0) return sum
    const newest = rows.reduce((time, { collectedAt }) => Math.max(time, DateTime.toEpochMillis(collectedAt)), 0)
    const sentAt = { newest: yield* presentFor(newest), present: yield* presentFor(-Infinity) }
    const calls = [...Map.groupBy(rows, ({ agentId }) => agentId)].flatMap(([agentId, ofAgent]) =>
      Arr.chunksOf(ofAgent, WriteScript.maxRows).map((chunk) => ({ agentId, chunk }))
    )
    const results = yield* run(
      nodes,
      calls.map(({ agentId, chunk }) => [hashOf(agentId), WriteScript.args(mode, sentAt, chunk)])
    )
    for (const [index, { agentId, chunk }] of calls.entries()) {
      const result = results[index]!
      if (Result.isFailure(result)) {
        sum.failures.push(result.failure)
        continue
      }
      const [written, ahead, ...missing] = result.success
      sum.stored += written
      sum.ahead += ahead
      if (written > 0) sum.changed.add(agentId)
      for (const place of missing) sum.missing.push(chunk[place - 1]!)
    }
    return sum
  })

  return Effect.fnUntraced(function* (rows: ReadonlyArray<MetadataRow>) {
    const updated = yield* writeIn("update", rows)
    const declared = yield* Effect.result(
      updated.missing.length === 0 ? Effect.succeed([]) : declaredOf(updated.missing)
    )
    const created = yield* writeIn(
      "create",
      Result.getOrElse(declared, () => [])
    )
    const changed = [...new Set([...updated.changed, ...created.changed])]
    if (Result.isFailure(declared)) return yield* new StoreError({ ...declared.failure, changed })
    const [failure] = [...updated.failures, ...created.failures]
    if (failure !== undefined) return yield* failedOperation("write metadata", failure.cause, changed)
    const stored = updated.stored + created.stored
    const undeclared = updated.missing.length - declared.success.length
    yield* MetadataStoreMetrics.count({
      stored,
      undeclared,
      stale: rows.length - stored - undeclared,
      ahead: updated.ahead + created.ahead
    })
    return changed
  })
}

type Call = readonly [hash: string, args: ReadonlyArray<string>]

type Reply = readonly [written: number, ahead: number, ...missing: ReadonlyArray<number>]

/** Runs the script on hashes, and sends it to the nodes that do not have it. */
export const run = Effect.fnUntraced(function* (nodes: RedisNodes, calls: ReadonlyArray<Call>) {
  const send = (how: "digest" | "source", of: ReadonlyArray<Call>) =>
    nodes.sendAll(of.map(([hash, args]) => [hash, WriteScript.command(how, hash, args)]))
  const results = [...(yield* send("digest", calls))]
  const lacking = results.flatMap((result, index) => (isScriptMissing(result) ? [index] : []))
  if (lacking.length > 0) {
    const again = yield* send(
      "source",
      lacking.map((index) => calls[index]!)
    )
    for (const [place, index] of lacking.entries()) results[index] = again[place]!
  }
  return results.map(Result.map((reply) => reply as Reply))
})

const isScriptMissing = (result: Result.Result<unknown, CommandFailed>) =>
  Result.isFailure(result) && result.failure.reply.startsWith("NOSCRIPT")

/** The reader of logs of tests, by the rules of its port. */
import { layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { workspace } from "../support/identity.ts"
import { makeLogger, readerOf, storeLines } from "../support/logWatch.ts"
import { agent } from "../support/metadataBatcher.ts"
import { Loggers, logReaderSuite } from "./logReaderSuite.ts"

const create = Effect.sync(() => {
  const logger = makeLogger()
  return {
    reader: readerOf(logger),
    agentId: agent(1),
    ownerId: workspace.ownerId,
    log: (...outputs: ReadonlyArray<string>) => storeLines(logger, outputs),
    remove: Effect.sync(() => {
      logger.lifecycle = Option.none()
    })
  }
})

layer(Layer.succeed(Loggers, { create }))("the reader of logs of tests", logReaderSuite)

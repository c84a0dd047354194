/**
 * Packages that people batch with, each used as its own README says. None of them counts what it drops, and none keeps
 * the newest value of a key unless it is given a map to do so.
 */
import { AsyncBatcher } from "@tanstack/pacer"
import Bottleneck from "bottleneck"
import DataLoader from "dataloader"
import { Effect, Exit, Request, RequestResolver } from "effect"
import PQueue from "p-queue"
import { bufferTime, filter, Subject } from "rxjs"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import * as BatchSink from "../BatchSink.ts"
import { rowsOf } from "../Workload.ts"
import type { CallContestant, EffectContestant, LaterContestant } from "./Intake.ts"
import { NewestRows } from "./NewestRows.ts"
import { interval, maxBatchSize } from "./settings.ts"

interface Update extends Request.Request<void> {
  readonly _tag: "Update"
  readonly row: MetadataRow
}
const Update = Request.tagged<Update>("Update")

const requestResolver: EffectContestant = {
  name: "RequestResolver.batchN",
  remark: "no merging, bound or timer: batches of what comes in one turn; a fiber for each update; a tenth of the work",
  share: 0.1,
  start: (sink) =>
    Effect.sync(() => {
      let waiting = 0
      const resolver = RequestResolver.batchN(
        RequestResolver.make<Update>((entries) =>
          Effect.sync(() => {
            BatchSink.writeNow(
              sink,
              entries.map(({ request }) => request.row)
            )
            waiting -= entries.length
            for (const entry of entries) entry.completeUnsafe(Exit.void)
          })
        ),
        maxBatchSize
      )
      return {
        add: (report) =>
          Effect.suspend(() => {
            const rows = rowsOf(report)
            waiting += rows.length
            return Effect.forEach(rows, (row) => Effect.request(Update({ row }), resolver), {
              concurrency: "unbounded",
              discard: true
            })
          }).pipe(Effect.forkDetach, Effect.as(0)),
        waiting: Effect.sync(() => waiting)
      }
    })
}

const rxjs: CallContestant = {
  name: "rxjs bufferTime",
  remark: "no merging or bound, waits for no store",
  startCall: (sink) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const updates = new Subject<MetadataRow>()
          updates
            .pipe(
              bufferTime(interval, null, maxBatchSize),
              filter((rows) => rows.length > 0)
            )
            .subscribe((rows) => BatchSink.writeNow(sink, rows))
          return updates
        }),
        (updates) => Effect.sync(() => updates.complete())
      ),
      (updates) => (report) => {
        for (const row of rowsOf(report)) updates.next(row)
        return 0
      }
    )
}

const bottleneck: LaterContestant = {
  name: "bottleneck Batcher",
  remark: "no merging or bound, waits for no store, cannot be told to end",
  startLater: (sink) =>
    Effect.sync(() => {
      let waiting = 0
      const batcher = new Bottleneck.Batcher({ maxTime: interval, maxSize: maxBatchSize })
      batcher.on("batch", (rows: ReadonlyArray<MetadataRow>) => {
        waiting -= rows.length
        BatchSink.writeNow(sink, rows)
      })
      return {
        add: (report) => {
          for (const row of rowsOf(report)) {
            waiting++
            void batcher.add(row)
          }
        },
        waiting: () => waiting
      }
    })
}

const pacer: LaterContestant = {
  name: "pacer AsyncBatcher",
  remark:
    "no merging or bound, waits for no store; a timer and a copy of the batch for each update; a twentieth of the work",
  share: 0.05,
  startLater: (sink) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          let waiting = 0
          const batcher = new AsyncBatcher<MetadataRow>(
            async (rows) => {
              waiting -= rows.length
              BatchSink.writeNow(sink, rows)
            },
            { maxSize: maxBatchSize, wait: interval }
          )
          return {
            batcher,
            add: (row: MetadataRow) => {
              waiting++
              void batcher.addItem(row)
            },
            waiting: () => waiting
          }
        }),
        ({ batcher }) => Effect.promise(() => batcher.flush())
      ),
      ({ add, waiting }) => ({ add: (report) => rowsOf(report).forEach(add), waiting })
    )
}

const dataloader: LaterContestant = {
  name: "dataloader",
  remark: "no merging, bound or timer: batches of what comes in one turn; waits for no store",
  startLater: (sink) =>
    Effect.sync(() => {
      let waiting = 0
      const loader = new DataLoader<MetadataRow, void>(
        async (rows) => {
          waiting -= rows.length
          BatchSink.writeNow(sink, rows)
          return rows.map(() => {})
        },
        { cache: false, maxBatchSize }
      )
      return {
        add: (report) => {
          for (const row of rowsOf(report)) {
            waiting++
            void loader.load(row)
          }
        },
        waiting: () => waiting
      }
    })
}

const pQueue: LaterContestant = {
  name: "p-queue",
  remark: "no bound or timer; batches and merging by maps beside it",
  startLater: (sink) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const queue = new PQueue({ concurrency: 1 })
          let newest = new NewestRows()
          let queued = 0
          const flush = () => {
            const rows = newest.rows()
            newest = new NewestRows()
            queued += rows.length
            return queue.add(() => {
              queued -= rows.length
              BatchSink.writeNow(sink, rows)
            })
          }
          return {
            flush,
            add: (row: MetadataRow) => {
              newest.add(row)
              if (newest.size === maxBatchSize) void flush()
            },
            waiting: () => queued + newest.size
          }
        }),
        ({ flush }) => Effect.promise(flush)
      ),
      ({ add, waiting }) => ({ add: (report) => rowsOf(report).forEach(add), waiting })
    )
}

export const peers = [requestResolver, rxjs, bottleneck, pacer, dataloader, pQueue]

/** The mailbox of a batcher against a list, whatever is asked of it. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Mailbox } from "../../../src/batcher/internal/mailbox.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Step = Schema.Union([
  Schema.TaggedStruct("Offer", { count: int(0, 6), most: int(-1, 6), isTagged: Schema.Boolean }),
  Schema.TaggedStruct("Read", { most: int(1, 5) }),
  Schema.TaggedStruct("Mark", {}),
  Schema.TaggedStruct("Unmark", {}),
  Schema.TaggedStruct("Compact", { keep: int(1, 4) })
])
const Steps = Schema.Array(Step).check(Schema.isMaxLength(40))

interface Waiting {
  readonly update: number
  /** Updates of one message are read together. */
  readonly message: string
  readonly tag: string | undefined
}

const capacity = 12

/** Runs steps, with a bound of `room` updates beside the capacity. */
const check = (steps: typeof Steps.Type, room: number) => {
  let reserved = 0
  const mailbox = new Mailbox<number, ReadonlyArray<number>, string>(capacity, {
    reserve: (_, max) => {
      const count = Math.min(max, room - reserved)
      reserved += count
      return count
    },
    release: (_, from, to) => {
      reserved -= to - from
    }
  })
  let model: ReadonlyArray<Waiting> = []
  let marked = 0
  let next = 0
  let messages = 0
  for (const step of steps) {
    const changes = mailbox.changes
    switch (step._tag) {
      case "Offer": {
        const updates = Array.from({ length: step.count }, () => next++)
        const tag = step.isTagged ? `tag ${messages}` : undefined
        const accepted = mailbox.offer(updates, tag, step.most)
        const limit = Math.min(capacity, room) - model.length
        assert.strictEqual(accepted, Math.max(0, Math.min(step.count, step.most, limit)))
        const message = String(messages++)
        model = model.concat(updates.slice(0, accepted).map((update) => ({ update, message, tag })))
        // the caller uses its array again
        updates.fill(-1)
        assert.strictEqual(mailbox.changes > changes, accepted > 0)
        break
      }
      case "Read": {
        const read: Array<Waiting | undefined> = []
        const count = mailbox.read(step.most, (updates, from, to, isMarked, tag) => {
          assert.strictEqual(isMarked, marked > 0)
          for (const update of updates.slice(from, to)) read.push({ update, message: model[0]!.message, tag })
        })
        const ofOne = model.filter(({ message }) => message === model[0]?.message)
        const expected = ofOne.slice(0, marked > 0 ? Math.min(step.most, marked) : step.most)
        assert.deepStrictEqual([count, read], [expected.length, expected])
        model = model.slice(count)
        marked = Math.max(0, marked - count)
        assert.strictEqual(mailbox.changes > changes, count > 0)
        break
      }
      case "Mark":
        mailbox.mark()
        marked = model.length
        break
      case "Unmark":
        mailbox.unmark()
        marked = 0
        break
      case "Compact": {
        const seen: Array<readonly [update: number, isMarked: boolean, tag: string | undefined]> = []
        mailbox.compact((update, index, all, isMarked, tag) => {
          assert.strictEqual(all[index], update)
          seen.push([update, isMarked, tag])
          return update % step.keep === 0
        })
        assert.deepStrictEqual(
          seen,
          model.map(({ tag, update }, index) => [update, index < marked, tag])
        )
        const kept = ({ update }: Waiting) => update % step.keep === 0
        // a mark within a message has divided it
        const late = model.slice(marked).map((waiting) => ({ ...waiting, message: `${waiting.message}'` }))
        const early = model.slice(0, marked).filter(kept)
        model = [...early, ...(marked === 0 ? model : late).filter(kept)]
        marked = early.length
        break
      }
    }
    assert.deepStrictEqual([mailbox.size, mailbox.marked, reserved], [model.length, marked, model.length])
  }
}

describe("a mailbox", () => {
  it.prop("is a list of messages that may be cut anywhere, within its capacity", { steps: Steps }, ({ steps }) =>
    check(steps, Number.POSITIVE_INFINITY)
  )

  it.prop(
    "keeps a further bound, and gives it back what has left",
    { steps: Steps, room: int(0, 8) },
    ({ room, steps }) => check(steps, room)
  )

  it("keeps its order while thousands of messages come and go", () => {
    const mailbox = new Mailbox<number, ReadonlyArray<number>, string>(1_000)
    let sent = 0
    let read = 0
    const take = (most: number) =>
      mailbox.read(most, (updates, from, to) => {
        for (const update of updates.slice(from, to)) assert.strictEqual(update, read++)
      })
    while (sent < 20_000) {
      while (mailbox.offer([sent, sent + 1]) === 2) sent += 2
      for (let times = 0; times < 150; times++) take(3)
    }
    while (take(1) > 0);
    assert.deepStrictEqual([read, mailbox.size], [sent, 0])
  })
})

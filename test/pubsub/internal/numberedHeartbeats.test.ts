import { assert, describe, it } from "@effect/vitest"
import * as NumberedHeartbeats from "../../../src/pubsub/internal/numberedHeartbeats.ts"

const make = (replica: string) => NumberedHeartbeats.make("heartbeat", replica)

describe("numberedHeartbeats", () => {
  it("knows its own heartbeats, and sees no gap while every heartbeat arrives [BK-04]", () => {
    const [here, there] = [make("here"), make("there")]

    for (let round = 0; round < 3; round++) {
      assert.deepStrictEqual(here.receive(here.next()), { isOwn: true, isGap: false })
      assert.deepStrictEqual(here.receive(there.next()), { isOwn: false, isGap: false })
    }
  })

  it("sees a gap where a heartbeat is missing or a publication took its number, once [BK-04]", () => {
    const [here, there] = [make("here"), make("there")]
    here.receive(there.next())

    there.next()
    assert.isTrue(here.receive(there.next()).isGap)
    assert.isFalse(here.receive(there.next()).isGap)
    there.skip()
    assert.isTrue(here.receive(there.next()).isGap)
    assert.isFalse(here.receive(there.next()).isGap)
  })

  it("sees a gap in the first heartbeat of a replica that has sent others before [BK-04]", () => {
    const [here, there] = [make("here"), make("there")]
    there.next()

    assert.isTrue(here.receive(there.next()).isGap)
  })

  it("finds a replica silent of which nothing arrives between two looks, until it is heard again [BK-08]", () => {
    const [here, there] = [make("here"), make("there")]
    here.receive(there.next())

    assert.deepStrictEqual([here.isAnySilent(), here.isAnySilent(), here.isAnySilent()], [false, true, true])
    here.receive(there.next())
    assert.isFalse(here.isAnySilent())
    here.receive(there.next())
    assert.isFalse(here.isAnySilent())
    assert.isTrue(here.isAnySilent())
  })

  it("forgets a replica that stays silent for twelve looks, whose return is a gap [BK-08]", () => {
    const [here, there] = [make("here"), make("there")]
    here.receive(there.next())

    const looks = Array.from({ length: 14 }, () => here.isAnySilent())
    assert.deepStrictEqual(
      looks,
      looks.map((_, look) => look > 0 && look < 12)
    )
    assert.isTrue(here.receive(there.next()).isGap)
  })

  it("ignores what is no heartbeat, and one that comes twice", () => {
    const [here, there] = [make("here"), make("there")]
    const first = there.next()
    here.receive(first)

    for (const text of ["", "there", "there -1", "there 1.5", "there 1 2", `${"x".repeat(65)} 7`, first]) {
      assert.deepStrictEqual(here.receive(text), { isOwn: false, isGap: false })
    }
  })

  it("waits for no replica because of what is no heartbeat", () => {
    const here = make("here")

    for (const text of ["", "there", "there -1"]) here.receive(text)

    assert.deepStrictEqual([here.isAnySilent(), here.isAnySilent()], [false, false])
  })

  it("reads names of up to 64 characters without blanks, and numbers of up to 15 digits", () => {
    const isHeartbeat = (text: string) => make("here").receive(text).isGap

    for (const name of ["x", "xy", "x".repeat(64)]) assert.isTrue(isHeartbeat(`${name} 7`), name)
    for (const digits of ["1", "12", "1".repeat(15)]) assert.isTrue(isHeartbeat(`x ${digits}`), digits)
    for (const text of ["x".repeat(65), "", "x y", "\t"].map((name) => `${name} 7`))
      assert.isFalse(isHeartbeat(text), text)
    for (const text of ["1".repeat(16), "", "7x", "x7", " 7", "7\n"].map((digits) => `x ${digits}`)) {
      assert.isFalse(isHeartbeat(text), text)
    }
  })

  it("remembers 1 024 replicas, and forgets the one that was heard least recently", () => {
    const here = make("here")
    for (let i = 0; i < 1_024; i++) here.receive(`replica${i} 0`)
    here.receive("replica0 1")
    here.receive("replica1024 0")

    for (const heartbeat of ["replica1024 1", "replica0 2", "replica2 1"]) {
      assert.isFalse(here.receive(heartbeat).isGap, heartbeat)
    }
    assert.isTrue(here.receive("replica1 1").isGap)
  })
})

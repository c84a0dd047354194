/** Numbers and times as the original's protocol has them, and as Postgres can hold them. */
import { DateTime, Schema } from "effect"

export const Int32 = Schema.Int.check(
  Schema.isBetween({ minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }, { expected: "a number of 32 bits" })
)

/** The zero time of the original stands for none. */
const zero = DateTime.makeUnsafe("0001-01-01T00:00:00Z")

export const Time = Schema.DateTimeUtcFromString.check(
  Schema.makeFilter((time) => DateTime.isGreaterThan(time, zero), { expected: "a time after the zero time" })
)

/** Points of the plots. */
import type { Point } from "../../src/operations/Overview.ts"

/** The point of a second since the epoch: of a service without work, except for what is given. */
export const point = (second: number, over: Partial<Point> = {}): Point => ({
  at: second * 1_000,
  agents: 0,
  updates: 0,
  rows: 0,
  statements: 0,
  notifies: 0,
  pending: 0,
  queued: 0,
  writtenAge: null,
  watchDelay: null,
  ...over
})

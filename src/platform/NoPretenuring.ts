/**
 * To be imported by a program before all else. Keeps V8 from allocating young objects with the old generation.
 *
 * V8 decides so for each literal, and each `yield*` of an effect makes one: when most of those of one young collection have
 * lived through it, all later ones are allocated with the old generation, and V8 was not seen to take that back. What such an
 * object refers to then lives until the next full collection, although it is garbage at once. The batcher itself keeps
 * clear of that, see `batcher/Batcher.ts`; statements, calls and whatever else an application does in generators cannot.
 */
import { setFlagsFromString } from "node:v8"

setFlagsFromString("--no-allocation-site-pretenuring")

/**
 * To be imported by a program before all else. Keeps V8 from allocating young objects with the old generation.
 *
 * V8 decides so for good for each literal of which much has lived through a collection, as what is pending has while the
 * database is slow. From then on what such an object refers to lives until the next full collection, although it is garbage
 * at once: the batcher then takes 1.7 times as long, a third of it for full collections (`npm run bench`, hot path).
 */
import { setFlagsFromString } from "node:v8"

setFlagsFromString("--no-allocation-site-pretenuring")

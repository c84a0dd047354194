/**
 * The order of the files of a run: those that take longest begin first, because a run lasts as long as its last file.
 *
 * Vitest remembers how long each file took; a fresh clone has nothing to remember. A shuffled run has a random order.
 */
import { createHash } from "node:crypto"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** The files that take longest, of which most time is waiting for processes and servers. */
const longest = [
  "e2e/leaks",
  "e2e/workers",
  "agent/Agent.integration",
  "fleet/Fleet.integration",
  "storage/RedisMetadataStore.integration",
  "storage/RedisMetadataStore.start.integration",
  "e2e/embedded",
  "e2e/service",
  "telemetry/Tracing.integration",
  "storage/Pool.integration",
  "tailnet/ReplicatedCoordinator.integration",
  "platform/Limits.integration"
]

export class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const { seed, shuffle } = this.ctx.config.sequence
    if (shuffle === true) return files.toSorted(by(({ moduleId }) => hash(`${seed} ${moduleId}`)))
    const sorted = await super.sort(files)
    return sorted.toSorted(by(({ moduleId }) => rank(moduleId)))
  }
}

const rank = (path: string) => {
  const place = longest.findIndex((name) => path.endsWith(`/test/${name}.test.ts`))
  return place < 0 ? longest.length : place
}

const hash = (text: string) => createHash("sha256").update(text).digest("hex")

const by =
  <A>(valueOf: (specification: TestSpecification) => A) =>
  (a: TestSpecification, b: TestSpecification) => {
    const [first, second] = [valueOf(a), valueOf(b)]
    return first < second ? -1 : first > second ? 1 : 0
  }

/**
 * The guide of those who operate the service as a page, with the files of the deploy kit beside it.
 *
 * In the package the build has put the rendered guide beside this file; from sources the service renders it as it starts.
 */
import { Data, Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as DocsPage from "./DocsPage.ts"
import { render } from "./internal/guide.ts"

/** The guide is missing, because the installation is not complete. */
export class GuideMissing extends Data.TaggedError("GuideMissing")<{ readonly cause: unknown }> {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the guide at /docs is missing (${why}): install the package again, or run npm ci in a checkout`
  }
}

/** A file at an address beneath `/docs`. */
export interface File {
  readonly path: `/docs${string}`
  /** The value of its `Content-Type`. */
  readonly type: string
  readonly content: string
}

const isSource = import.meta.url.endsWith(".ts")

/** The same folder from `src` and from `dist`. */
const deploy = new URL("../../src/operations/deploy/", import.meta.url)

/** Returns the page and the files of the deploy kit. */
export const load: Effect.Effect<ReadonlyArray<File>, GuideMissing> = Effect.tryPromise({
  try: async (): Promise<ReadonlyArray<File>> => {
    const main = isSource ? await render() : readFileSync(new URL("guide.html", import.meta.url), "utf8")
    return [{ path: "/docs", type: "text/html; charset=utf-8", content: page(main) }, ...kit()]
  },
  catch: (cause) => new GuideMissing({ cause })
})

const kit = () =>
  readdirSync(deploy).map((name): File => ({
    path: `/docs/deploy/${name}`,
    type: name.endsWith(".json") ? "application/json" : "text/plain; charset=utf-8",
    content: readFileSync(new URL(name, deploy), "utf8")
  }))

const page = (main: string) =>
  DocsPage.render({
    title: "metadata-batcher: operating the service",
    about: `<p>The calls of programs: <a href="docs/api">the HTTP API</a>.</p>`,
    parts: [...main.matchAll(/<h2 id="([^"]+)">(.*?)<\/h2>/g)].map(([, id, name]) => ({ id: id!, name: name! })),
    main
  })

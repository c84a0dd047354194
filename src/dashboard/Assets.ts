/**
 * The files of the page: the page at `/`, and its script and style under addresses with a digest of their content.
 *
 * - In the package the build has put the bundle beside this file, so that an installation bundles nothing.
 * - From sources the service bundles as it starts, in a tenth of a second. The repository holds no generated file, none can
 *   be older than its sources, and a fresh clone needs no step between `npm ci` and `npm start`.
 *
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import * as DashboardAssets from "metadata-batcher/DashboardAssets"
 *
 * const program = Effect.flatMap(DashboardAssets.load, ([page]) => Console.log(page!.path, page!.type))
 * await Effect.runPromise(program)
 * // Output:
 * // / text/html; charset=utf-8
 * ```
 */
import { Data, Effect } from "effect"
import * as Crypto from "node:crypto"
import { readFileSync } from "node:fs"
import { gzipSync } from "node:zlib"
import { bundle, type Bundle, names } from "./internal/bundle.ts"

/** A file of the page. */
export interface Asset {
  /** The path of its address. */
  readonly path: `/${string}`
  /** The value of its `Content-Type`. */
  readonly type: string
  /** The bytes of the file. */
  readonly content: Uint8Array
  /** The content, compressed by gzip. */
  readonly zipped: Uint8Array
}

/** The page is missing, because the installation is not complete. */
export class PageMissing extends Data.TaggedError("PageMissing")<{
  /** The error of the file system or of the bundler. */
  readonly cause: unknown
}> {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the page of the dashboard is missing (${why}): install the package again, or run npm ci in a checkout`
  }
}

const isSource = import.meta.url.endsWith(".ts")

const ready = (): Bundle => {
  const file = (name: string) => readFileSync(new URL(`./page/${name}`, import.meta.url))
  return { html: file(names.html).toString(), script: file(names.script), style: file(names.style) }
}

let made: ReadonlyArray<Asset> | undefined

/** Returns the files, which are made or read once per process. */
export const load: Effect.Effect<ReadonlyArray<Asset>, PageMissing> = Effect.tryPromise({
  try: async () => (made ??= assets(isSource ? await bundle() : ready())),
  catch: (cause) => new PageMissing({ cause })
})

const assets = ({ html, script, style }: Bundle): ReadonlyArray<Asset> => {
  const files = [
    asset(`/assets/dashboard-${digest(script)}.js`, "text/javascript; charset=utf-8", script),
    asset(`/assets/dashboard-${digest(style)}.css`, "text/css; charset=utf-8", style)
  ] as const
  const page = html.replace(names.script, files[0].path.slice(1)).replace(names.style, files[1].path.slice(1))
  return [asset("/", "text/html; charset=utf-8", new TextEncoder().encode(page)), ...files]
}

const asset = (path: Asset["path"], type: string, content: Uint8Array): Asset => ({
  path,
  type,
  content,
  zipped: gzipSync(content, { level: 9 })
})

const digest = (content: Uint8Array) => Crypto.createHash("sha256").update(content).digest("base64url").slice(0, 12)

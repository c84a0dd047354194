/**
 * Responds with content that does not change while the process runs.
 *
 * - A client that takes gzip gets the content compressed; it is compressed once.
 * - A client that shows the content's tag gets 304 and no body.
 */
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Crypto from "node:crypto"
import { gzipSync } from "node:zlib"

export interface Options {
  /** The value of `Content-Type`. */
  readonly type: string
  /** The value of `Cache-Control`. Default: a browser asks each time whether its copy is still right. */
  readonly cacheControl?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Returns the headers of a page that loads from the sources of a policy alone, under its restrictions, cannot be framed, and
 * sends no referrer.
 */
export const pageHeaders = ({ restrictions, sources }: Record<"sources" | "restrictions", ReadonlyArray<string>>) => ({
  "content-security-policy": [
    "default-src 'none'",
    ...sources,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    ...restrictions
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
})

/** Returns the handler of an address. */
export const handler = (
  content: Uint8Array,
  { cacheControl = "no-cache", headers, type }: Options,
  zipped: Uint8Array = gzipSync(content, { level: 9 })
) => {
  const etag = `"${Crypto.createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`
  return HttpServerRequest.HttpServerRequest.useSync((request) => {
    const isZipped = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "")
    const common = { ...headers, "cache-control": cacheControl, etag, vary: "accept-encoding" }
    // a proxy that compresses makes the tag a weak one
    return (request.headers["if-none-match"] ?? "")
      .replaceAll("W/", "")
      .split(/\s*,\s*/)
      .includes(etag)
      ? HttpServerResponse.empty({ status: 304, headers: common })
      : HttpServerResponse.uint8Array(isZipped ? zipped : content, {
          contentType: type,
          headers: { ...common, ...(isZipped ? { "content-encoding": "gzip" } : {}) }
        })
  })
}

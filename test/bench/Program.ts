/** A program of the benchmark in a process of its own, which prints its address and is asked over HTTP. */
import { Data, Effect, type Schema, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { ChildProcess } from "effect/process"
import * as Path from "node:path"

class DidNotStart extends Data.TaggedError("DidNotStart")<{ readonly program: string }> {
  override get message() {
    return `${this.program} of the benchmark did not start`
  }
}

/** Starts a program of this folder, which ends with the scope. */
export const start = (program: string, argument: string) =>
  run(process.execPath, ["--expose-gc", Path.join(import.meta.dirname, program), argument])

/** Starts any program, which ends with the scope. */
export const run = Effect.fnUntraced(function* (program: string, args: ReadonlyArray<string> = []) {
  const child = yield* ChildProcess.make(program, args, { stderr: "inherit" })
  const url = yield* child.stdout.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runHead,
    Effect.flatMap((line) => Effect.fromOption(line)),
    Effect.mapError(() => new DidNotStart({ program: [program, ...args].join(" ") }))
  )
  const client = yield* HttpClient.HttpClient
  const get = <A>(path: string, schema: Schema.Codec<A, unknown>) =>
    Effect.flatMap(client.get(`${url}${path}`), HttpClientResponse.schemaBodyJson(schema))
  return { url, get }
}, Effect.provide(FetchHttpClient.layer))

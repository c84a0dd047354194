/** The database that a process of the service runs itself. */
import { Effect, FileSystem } from "effect"
import * as Path from "node:path"
import * as Database from "./Database.ts"

/** The oracle of the embedded database of a process that is ready. */
export const embeddedDatabase = Effect.fnUntraced(function* (
  service: { readonly output: () => string },
  dataDir: string
) {
  const [, port] = /embedded: postgresql:\/\/postgres@127\.0\.0\.1:(\d+)\/postgres/.exec(service.output())!
  const password = yield* FileSystem.FileSystem.use((fs) =>
    fs.readFileString(Path.join(dataDir, "cluster", "password"))
  )
  return Database.at(`postgresql://postgres:${password}@127.0.0.1:${port}/postgres`)
}, Effect.orDie)

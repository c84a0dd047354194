/** Reads the recipe of an image, and follows it in a folder where no container engine runs. */
import { execFileSync } from "node:child_process"
import { globSync } from "node:fs"
import * as Path from "node:path"

export interface Recipe {
  readonly env: Readonly<Record<string, string>>
  /** The files that it copies into its folder. */
  readonly copied: ReadonlyArray<string>
  /** The commands that it runs there. */
  readonly commands: ReadonlyArray<string>
  /** The command of a container. */
  readonly start: ReadonlyArray<string>
}

/** Returns the parts of a recipe of which each instruction is one line. Fails at an instruction that is not one of them. */
export const parse = (recipe: string): Recipe => {
  const env: Record<string, string> = {}
  const [copied, commands, start]: ReadonlyArray<Array<string>> = [[], [], []]
  for (const line of recipe.split("\n")) {
    const [, instruction, text = ""] = /^([A-Z]+) (.*)$/.exec(line) ?? []
    switch (instruction) {
      case "ENV":
        for (const pair of text.split(" ")) env[pair.slice(0, pair.indexOf("="))] = pair.slice(pair.indexOf("=") + 1)
        break
      case "COPY":
        copied!.push(text.split(" ")[0]!)
        break
      case "RUN":
        commands!.push(text)
        break
      case "ENTRYPOINT":
      case "CMD":
        start!.push(...(JSON.parse(text) as ReadonlyArray<string>))
        break
      default:
        if (!/^(#.*|FROM .*|WORKDIR .*|EXPOSE .*|USER .*|STOPSIGNAL .*|)$/.test(line))
          throw new Error(`unknown: ${line}`)
    }
  }
  return { env, copied: copied!, commands: commands!, start: start! }
}

/** Follows a recipe: copies files from the folder `from` into `to`, and runs its commands there. */
export const build = ({ commands, copied }: Recipe, from: string, to: string): void => {
  const files = copied.flatMap((pattern) => globSync(pattern, { cwd: from }))
  if (files.length === 0) throw new Error(`${from} has none of ${copied.join(", ")}`)
  execFileSync("cp", [...files.map((file) => Path.join(from, file)), to])
  for (const command of commands)
    execFileSync("sh", ["-ec", command], { cwd: to, stdio: ["ignore", "ignore", "inherit"] })
}

/** The blocks of commands in the guide, and what runs each of them. */
import { readFileSync } from "node:fs"

export interface Block {
  /** Its heading, and its place beneath that. */
  readonly name: string
  readonly text: string
}

/** Reads the blocks of commands in the guide, those within lists too. */
export const read = (): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let [heading, place] = ["", 0]
  const guide = readFileSync("src/operations/README.md", "utf8")
  for (const [, title, indent, text] of guide.matchAll(/^#+ (.+)$|^( *)```\w+\n([^]*?)^ *```$/gm)) {
    if (title !== undefined) [heading, place] = [title, 0]
    else blocks.push({ name: `${heading} ${++place}`, text: text!.replaceAll(new RegExp(`^${indent}`, "gm"), "") })
  }
  return blocks
}

/** The blocks that `guide.commands.ts` runs, in its order. */
export const run = [
  "Install 1",
  "Database 1",
  "systemd 1",
  "Database 2",
  "TLS 1",
  "TLS 2",
  "Backup and restore 1",
  "Backup and restore 2",
  "Upgrade and downgrade 1",
  "Backup and restore 3"
] as const

/** The blocks that it does not run, each with what checks it instead. */
export const elsewhere: Readonly<Record<string, string>> = {
  "Connect an agent 1": "`npm run check:package` runs it beside the installed package",
  "Connect an agent 2": "`npm run check:package` runs it beside the installed package",
  "Traces and logs 1": "`Docs.test.ts` compares its versions with those of the tests, because it asks the registry"
}

/** Commands within the blocks that run, for which there has to be a running systemd, each with what checks it instead. */
export const leftOut: Readonly<Record<string, string>> = {
  "systemctl daemon-reload && systemctl enable --now metadata-batcher":
    "`Deploy.test.ts` has `systemd-analyze` verify the unit, and its command starts the service here",
  " && systemctl reload nginx": "`proxies.test.ts` starts nginx with the file",
  " && systemctl reload caddy": "`proxies.test.ts` starts Caddy with the file",
  "systemctl restart metadata-batcher": "the service is stopped and started by the command of the unit"
}

/** The configuration of nginx in `src/operations/deploy`, with the places of a test. */
import { assert } from "@effect/vitest"
import { readFileSync } from "node:fs"

/** Returns the text of a file of the deployment kit. */
export const deployed = (name: string): string => readFileSync(`src/operations/deploy/${name}`, "utf8")

/** Replaces what a person replaces, and fails when it is not there. */
export const replaced = (text: string, pairs: ReadonlyArray<readonly [given: string, own: string]>): string =>
  pairs.reduce((text, [given, own]) => {
    assert.include(text, given)
    return text.replaceAll(given, own)
  }, text)

export interface Place {
  readonly folder: string
  readonly port: number
  /** The host and the port of each replica. */
  readonly services: ReadonlyArray<string>
}

const certificate = "/etc/ssl/metadata.example.com"

/** Returns the files and the arguments of an nginx that serves with the certificate of the folder, or without TLS. */
export const nginx = ({ folder, port, services }: Place, tls: boolean) => ({
  files: {
    "site.conf": replaced(deployed("nginx.conf"), [
      ["server 127.0.0.1:3000 max_fails=0;", services.map((service) => `server ${service} max_fails=0;`).join("\n  ")],
      ...(tls
        ? ([
            ["listen 443 ssl", `listen 127.0.0.1:${port} ssl`],
            [certificate, `${folder}/certificate`]
          ] as const)
        : ([
            ["listen 443 ssl", `listen 127.0.0.1:${port}`],
            [`ssl_certificate ${certificate}.pem;`, ""],
            [`ssl_certificate_key ${certificate}.key;`, ""]
          ] as const)),
      ["/var/log/nginx/metadata-batcher.log", `${folder}/access.log`],
      ["/var/log/nginx/metadata-batcher.error.log", `${folder}/error.log`]
    ]),
    "nginx.conf": `daemon off; pid ${folder}/nginx.pid; error_log stderr; events {} http { ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")} include ${folder}/site.conf; }`
  },
  args: ["-p", folder, "-c", `${folder}/nginx.conf`, "-e", "stderr"]
})

/** The settings of the certificates of another server, and of the one that is shown to it. */
import * as Value from "../domain/SettingValue.ts"
import { optional } from "../domain/SettingVariable.ts"
import type { Role } from "./RemoteServer.ts"

export const tls = ({ name, settings }: Role) => ({
  ca: optional({
    name: `${settings}_TLS_CA`,
    value: Value.text("a file"),
    description: `A file with the authorities that may sign the certificate of the ${name}, in PEM. Without it, the usual ones.`
  }),
  cert: optional({
    name: `${settings}_TLS_CERT`,
    value: Value.text("a file"),
    description: `A file with the certificate that is shown to the ${name}, in PEM.`
  }),
  key: optional({
    name: `${settings}_TLS_KEY`,
    value: Value.text("a file"),
    description: `A file with the key of ${settings}_TLS_CERT, in PEM.`
  })
})

/** The random choice of changes, which depends on nothing but the change and the seed. */
import * as Crypto from "node:crypto"

export interface Place {
  /** Relative to the project. */
  readonly fileName: string
  readonly location: { readonly start: object; readonly end: object }
  readonly mutatorName: string
  readonly replacement?: string | undefined
}

/** Why a change is not judged. */
export const notInSample = "not in the sample"

/** Whether a change belongs to the sample of `MUTANT_SAMPLE` percent. */
export const isInSample = ({ fileName, location, mutatorName, replacement }: Place): boolean => {
  const { MUTANT_SAMPLE: percent = "100", MUTANT_SEED: seed = "0" } = process.env
  const hash = Crypto.createHash("sha256")
    .update(JSON.stringify([seed, fileName, location, mutatorName, replacement]))
    .digest()
  return hash.readUInt32BE() / 2 ** 32 < Number(percent) / 100
}

/**
 * Prepares passwords by SASLprep (RFC 4013) as Postgres does: a password that SASLprep prohibits stays as it is.
 */

const nonAsciiSpaces = /[\u00A0\u1680\u2000-\u200B\u202F\u205F\u3000]/gu

const mappedToNothing = /\u00AD|\u034F|\u1806|[\u180B-\u180D]|\u200C|\u200D|\u2060|[\uFE00-\uFE0F]|\uFEFF/gu

const prohibited =
  /\u0340|\u0341|[\p{Cc}\u06DD\u070F\u180E\u200E\u200F\u2028-\u202E\u2061-\u206F\u2FF0-\u2FFB\uFFF9-\uFFFD\p{Co}\p{Cn}\p{Cs}]/u

const rightToLeft = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u

/** Returns the prepared password. */
export const saslPrep = (password: string): string => {
  if (/^[ -~]*$/.test(password)) return password
  const prepared = password.replaceAll(nonAsciiSpaces, " ").replaceAll(mappedToNothing, "").normalize("NFKC")
  if (prepared === "" || prohibited.test(prepared)) return password
  // right-to-left text must begin and end with right-to-left characters, and must not be mixed
  const characters = [...prepared]
  const isMixed =
    rightToLeft.test(prepared) &&
    (/[A-Za-z]/.test(prepared) || !rightToLeft.test(characters[0]!) || !rightToLeft.test(characters.at(-1)!))
  return isMixed ? password : prepared
}

/** The problems of a value that does not decode, each with the path of its field. */
import { SchemaIssue } from "effect"

export interface FieldProblem {
  /** The path of the field, such as `logs[3].level`; empty if the whole value is wrong. */
  readonly field: string
  readonly problem: string
}

/** The longest field and the longest problem, in characters: both may repeat data of the caller. */
const maxLength = 300

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** Returns the problems of an issue. */
export const problemsOf = (issue: SchemaIssue.Issue): ReadonlyArray<FieldProblem> =>
  formatIssue(issue).issues.map(({ message, path }) => {
    // this formatter gives each issue a path, of plain keys
    const field = (path as ReadonlyArray<PropertyKey>).reduce<string>(
      (field, key) =>
        typeof key === "number" ? `${field}[${key}]` : field === "" ? String(key) : `${field}.${String(key)}`,
      ""
    )
    return { field: field.slice(0, maxLength), problem: message.slice(0, maxLength) }
  })

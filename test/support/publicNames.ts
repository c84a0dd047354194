/**
 * The public names of the package, as the compiler finds them behind the paths of `exports`: each export, and each member
 * of an exported type or service that this package declares.
 */
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import { API, type Checker, type Project, type Symbol, SymbolFlags } from "typescript/unstable/sync"

export interface PublicName {
  /** The name behind its entry, such as `Batcher.Options.retry`. */
  readonly name: string
  /** The text of its doc comment; empty if it has none. */
  readonly doc: string
}

/** The sources behind the paths of `exports`, by these paths without their dot; the root is `metadata-batcher`. */
export const entries: ReadonlyMap<string, string> = new Map(
  Object.entries<string>(JSON.parse(readFileSync("package.json", "utf8")).exports)
    .filter(([path]) => path !== "./package.json")
    .map(([path, file]) => [
      path === "." ? "metadata-batcher" : path.slice(2),
      file.replace("./dist/", "src/").replace(/\.js$/, ".ts")
    ])
)

const sources = Path.resolve("src")

/** Reads all public names, with the compiler that the project is built with. */
export const read = (): ReadonlyArray<PublicName> => {
  const compiler = new API({ cwd: process.cwd() })
  try {
    const snapshot = compiler.updateSnapshot({ openProjects: [Path.resolve(".tsconfig.build.json")] })
    const [project] = snapshot.getProjects()
    return [...entries].flatMap(([entry, file]) => namesOf(project!, entry, file))
  } finally {
    compiler.close()
  }
}

const namesOf = ({ checker, program }: Project, entry: string, file: string): ReadonlyArray<PublicName> => {
  const source = program.getSourceFile(Path.resolve(file))
  const module = source === undefined ? undefined : checker.getSymbolAtLocation(source)
  if (module === undefined) throw new Error(`${file}, which package.json exports, is not part of the project`)
  return checker.getExportsOfModule(module).flatMap((exported) => {
    const isAlias = (exported.flags & SymbolFlags.Alias) !== 0
    const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported
    if (isInternal(checker, symbol)) return []
    const name = `${entry}.${exported.name}`
    const doc = (symbol.flags & SymbolFlags.ValueModule) === 0 ? docOf(checker, symbol) : headerOf(symbol)
    const members = membersOf(checker, symbol).map((member) => ({
      name: `${name}.${member.name}`,
      doc: docOf(checker, member)
    }))
    return [{ name, doc }, ...members]
  })
}

/** The header of a module, which is the doc of its namespace. */
const headerOf = ({ declarations }: Symbol): string =>
  /^\/\*\*([^]*?)\*\//.exec(readFileSync(declarations[0]!.path, "utf8"))?.[1] ?? ""

const docOf = (checker: Checker, symbol: Symbol): string => symbol.getDocumentationComment(checker).trim()

const isInternal = (checker: Checker, symbol: Symbol): boolean =>
  symbol.getJsDocTags(checker).some(({ name }) => name === "internal")

/** The members of a type or a service, without those that come from elsewhere. */
const membersOf = (checker: Checker, symbol: Symbol): ReadonlyArray<Symbol> => {
  if ((symbol.flags & (SymbolFlags.Class | SymbolFlags.Interface)) === 0) return []
  const type = checker.getDeclaredTypeOfSymbol(symbol)
  const service = checker.getPropertyOfType(type, "Service")
  const shape = service === undefined ? undefined : checker.getTypeOfSymbol(service)
  return [type, ...(shape === undefined ? [] : [shape])]
    .flatMap((each) => checker.getPropertiesOfType(each))
    .filter(({ declarations }) => declarations.some(({ path }) => path.startsWith(sources)))
    .filter(({ name }) => name !== "message")
}

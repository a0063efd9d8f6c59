// From an expression's tree, as the CEL library reads it, to functions that call each other. The library reads the text
// and checks the types; it does not evaluate: what it runs cannot be bounded (a macro goes through whatever list the
// record has, `matches` backtracks, and `||` passes over every error, so that none would end it).

import type { ASTNode } from '@marcbachmann/cel-js'
import { EXPRESSION_PATTERNS_MAX } from '../../kernel/limits.ts'
import { nearestName } from '../../kernel/nearest-name.ts'
import type { ExpressionFunction } from './expression-functions.ts'
import { FUNCTIONS, METHODS } from './expression-functions.ts'
import type { Arithmetic, ExpressionFault, Steps, Value } from './expression-values.ts'
import {
  add,
  areEqual,
  arithmetic,
  asBoolean,
  asText,
  isIn,
  isList,
  isMap,
  memberOf,
  NO_MEMBER,
  namesOf,
  negate,
  order,
  subtract,
  WRONG_TYPE,
} from './expression-values.ts'
import type { TextSearch } from './text-search.ts'

/** What a node's work needs: what it may cost, the record's values and what macros have bound. */
export interface Scope {
  readonly steps: Steps
  /** One for each depth of macros. */
  readonly bound: Value[]
  /**
   * What searching took. An automaton that is made anew, text by text, costs more than steps can foresee: that decides when
   * others have their turn, and not what an expression means.
   */
  searchedMs: number
}

export type Evaluate = (scope: Scope) => Value

/** Throws UnknownWord for what the library knows and we do not. */
export class UnknownWord extends Error {
  readonly node: ASTNode

  constructor(message: string, node: ASTNode) {
    super(message)
    this.node = node
  }
}

export interface CompilerOptions<Variable extends string> {
  readonly variables: Readonly<Record<Variable, Evaluate>>
  compilePattern(text: string): TextSearch
}

type NodeOf<Operator extends ASTNode['op']> = Extract<ASTNode, { op: Operator }>

export class ExpressionCompiler<Variable extends string> {
  readonly #options: CompilerOptions<Variable>
  /** What macros have bound, from the outermost in. */
  readonly #bound: string[] = []
  #patternCount = 0

  constructor(options: CompilerOptions<Variable>) {
    this.#options = options
  }

  /** Throws UnknownWord. */
  compile(node: ASTNode): Evaluate {
    const evaluate = this.#compile(node)
    return (scope) => {
      scope.steps.spend(1)
      return evaluate(scope)
    }
  }

  #compile(node: ASTNode): Evaluate {
    switch (node.op) {
      case 'value':
        return constant(node)
      case 'id':
        return this.#variable(node)
      case '.':
        return this.#member(node)
      case '[]': {
        const [value, name] = this.#both(node.args)
        return (scope) => present(memberOf(value(scope), name(scope)))
      }
      case 'list': {
        const elements = node.args.map((one) => this.compile(one))
        return (scope) => elements.map((one) => one(scope))
      }
      case 'call':
        return this.#call(node)
      case 'rcall':
        return this.#callMethod(node)
      case '?:': {
        const [condition, then, otherwise] = node.args.map((one) => this.compile(one)) as [Evaluate, Evaluate, Evaluate]
        return (scope) => (asBoolean(condition(scope)) ? then(scope) : otherwise(scope))
      }
      case '!_': {
        const value = this.compile(node.args)
        return (scope) => !asBoolean(value(scope))
      }
      case '-_': {
        const value = this.compile(node.args)
        return (scope) => negate(value(scope))
      }
      case '&&':
        return decidedBy(false, ...this.#both(node.args))
      case '||':
        return decidedBy(true, ...this.#both(node.args))
      default:
        return this.#binary(node)
    }
  }

  #both([left, right]: readonly [ASTNode, ASTNode]): [Evaluate, Evaluate] {
    return [this.compile(left), this.compile(right)]
  }

  #binary(node: ASTNode): Evaluate {
    const make = BINARY[node.op]
    if (make === undefined) throw new UnknownWord(`'${node.op === 'map' ? '{}' : node.op}' is not available`, node)
    const sides = node.args as [ASTNode, ASTNode]
    if (this.#isTimeAgainstText(sides)) {
      throw new UnknownWord('timestamp is compared with a timestamp: write timestamp("2026-11-21T02:00:00Z")', node)
    }
    return make(...this.#both(sides))
  }

  #isTimeAgainstText(sides: readonly [ASTNode, ASTNode]): boolean {
    const isTime = sides.some(({ op, args }) => op === 'id' && args === 'timestamp' && !this.#bound.includes(args))
    return isTime && sides.some(({ op, args }) => op === 'value' && typeof args === 'string')
  }

  #variable(node: NodeOf<'id'>): Evaluate {
    const depth = this.#bound.lastIndexOf(node.args)
    if (depth >= 0) return (scope) => scope.bound[depth] as Value
    const { variables } = this.#options
    if (!Object.hasOwn(variables, node.args)) {
      const names = Object.keys(variables).join(', ')
      throw new UnknownWord(`'${node.args}' is not known; a record has ${names}`, node)
    }
    return variables[node.args as Variable]
  }

  #member(node: NodeOf<'.'>): Evaluate {
    const [of, name] = node.args
    const value = this.compile(of)
    return (scope) => {
      const map = value(scope)
      if (!isMap(map)) throw WRONG_TYPE
      return present(Object.hasOwn(map, name) ? map[name] : undefined)
    }
  }

  #call(node: NodeOf<'call'>): Evaluate {
    const [name, args] = node.args
    if (name === 'has') return this.#has(node)
    return this.#callOf(FUNCTIONS, name, args, node)
  }

  /** As CEL: whether the last member is there; what it is a member of has to be. A number or a text has none. */
  #has(node: NodeOf<'call'>): Evaluate {
    const [selection] = node.args[1]
    if (selection?.op !== '.') throw new UnknownWord('has() takes a member, as in has(value.total)', node)
    const [of, name] = selection.args
    const value = this.compile(of)
    return (scope) => {
      const map = value(scope)
      return isMap(map) && Object.hasOwn(map, name)
    }
  }

  #callMethod(node: NodeOf<'rcall'>): Evaluate {
    const [name, receiver, args] = node.args
    const macro = MACROS[name]
    if (macro !== undefined && (args.length === 2 || (name === 'map' && args.length === 3))) {
      return this.#macro(macro, receiver, args)
    }
    if (name === 'matches') return this.#matches(node)
    return this.#callOf(METHODS, name, [receiver, ...args], node)
  }

  #callOf(
    table: Readonly<Record<string, ExpressionFunction>>,
    name: string,
    nodes: readonly ASTNode[],
    node: ASTNode,
  ): Evaluate {
    const known = Object.hasOwn(table, name) ? table[name] : undefined
    if (!known?.argumentCounts.includes(nodes.length)) {
      throw new UnknownWord(known === undefined ? unknownFunction(name) : wrongCount(name, known, node), node)
    }
    const [first, second, third] = nodes.map((one) => this.compile(one)) as [Evaluate, Evaluate?, Evaluate?]
    return (scope) => known.call(scope.steps, first(scope), second?.(scope) as Value, third?.(scope) as Value)
  }

  #matches(node: NodeOf<'rcall'>): Evaluate {
    const [, receiver, [pattern, ...more]] = node.args
    if (pattern?.op !== 'value' || typeof pattern.args !== 'string' || more.length > 0) {
      throw new UnknownWord('matches() takes a regular expression in quotes', node)
    }
    if (++this.#patternCount > EXPRESSION_PATTERNS_MAX) {
      throw new UnknownWord(`${EXPRESSION_PATTERNS_MAX} regular expressions are allowed`, node)
    }
    const text = this.compile(receiver)
    const search = this.#options.compilePattern(pattern.args)
    return (scope) => {
      const searched = asText(text(scope))
      scope.steps.spend(search.costs(searched))
      const since = performance.now()
      const isFound = search.isIn(searched)
      scope.searchedMs += performance.now() - since
      return isFound
    }
  }

  #macro(macro: Macro, receiver: ASTNode, args: readonly ASTNode[]): Evaluate {
    const range = this.compile(receiver)
    const [variable, ...rest] = args
    const depth = this.#bound.push(variable?.args as string) - 1
    const parts = rest.map((one) => this.compile(one))
    this.#bound.pop()
    return (scope) => {
      const elements = elementsOf(scope.steps, range(scope))
      return macro(elements, depth, scope, parts)
    }
  }
}

function unknownFunction(name: string): string {
  const functions = ['has', ...Object.keys(FUNCTIONS)]
  const methods = ['matches', ...Object.keys(MACROS), ...Object.keys(METHODS)]
  const nearest = nearestName(name, [...functions, ...methods])
  const hint = nearest === undefined ? '' : `did you mean ${nearest}()? `
  return `${name}() is not available; ${hint}There are ${functions.join(', ')}, and behind a value and a point ${methods.join(', ')}`
}

function wrongCount(name: string, { argumentCounts }: ExpressionFunction, { op }: ASTNode): string {
  const receivers = op === 'rcall' ? 1 : 0
  const counts = argumentCounts.map((count) => count - receivers).join(' or ')
  return `${name}() takes ${counts} ${counts === '1' ? 'argument' : 'arguments'}`
}

function constant(node: NodeOf<'value'>): Evaluate {
  const value = node.args
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    // as JSON knows none, an unsigned number is only another way to write it
    const int = BigInt(String(value))
    return () => int
  }
  return () => value
}

function present(value: Value | undefined): Value {
  if (value === undefined) throw NO_MEMBER
  return value
}

type Binary = (left: Evaluate, right: Evaluate) => Evaluate

function ordered(holds: (order: number) => boolean): Binary {
  return (left, right) => (scope) => holds(order(scope.steps, left(scope), right(scope)))
}

function calculated(operator: Arithmetic): Binary {
  return (left, right) => (scope) => arithmetic(operator, left(scope), right(scope))
}

const BINARY: Readonly<Record<string, Binary>> = {
  '==': (left, right) => (scope) => areEqual(scope.steps, left(scope), right(scope)),
  '!=': (left, right) => (scope) => !areEqual(scope.steps, left(scope), right(scope)),
  in: (left, right) => (scope) => isIn(scope.steps, left(scope), right(scope)),
  '<': ordered((order) => order < 0),
  '<=': ordered((order) => order <= 0),
  '>': ordered((order) => order > 0),
  '>=': ordered((order) => order >= 0),
  '+': (left, right) => (scope) => add(scope.steps, left(scope), right(scope)),
  '-': (left, right) => (scope) => subtract(left(scope), right(scope)),
  '*': calculated('*'),
  '/': calculated('/'),
  '%': calculated('%'),
}

/** && and ||: one side that decides makes up for a fault of the other, whichever stands first. */
function decidedBy(deciding: boolean, left: Evaluate, right: Evaluate): Evaluate {
  return (scope) => {
    let fault: ExpressionFault | undefined
    try {
      if (asBoolean(left(scope)) === deciding) return deciding
    } catch (error) {
      fault = scope.steps.passOver(error)
    }
    const isDecided = asBoolean(right(scope)) === deciding
    if (fault !== undefined && !isDecided) throw fault
    return isDecided === deciding
  }
}

function elementsOf(steps: Steps, range: Value): readonly Value[] {
  if (isList(range)) return range
  if (!isMap(range)) throw WRONG_TYPE
  return namesOf(steps, range)
}

/** Each element is in the scope while the parts look at it: a predicate, or what is made of it. */
type Macro = (elements: readonly Value[], depth: number, scope: Scope, parts: readonly Evaluate[]) => Value

const MACROS: Readonly<Record<string, Macro>> = {
  all: (elements, depth, scope, parts) => quantified(false, elements, depth, scope, parts),
  exists: (elements, depth, scope, parts) => quantified(true, elements, depth, scope, parts),
  exists_one: (elements, depth, scope, parts) => chosen(elements, depth, scope, parts, undefined).length === 1,
  filter: (elements, depth, scope, parts) => chosen(elements, depth, scope, parts, undefined),
  map: (elements, depth, scope, parts) =>
    parts.length === 2
      ? chosen(elements, depth, scope, parts, parts[1])
      : elements.map((element) => {
          scope.bound[depth] = element
          return (parts[0] as Evaluate)(scope)
        }),
}

function quantified(
  deciding: boolean,
  elements: readonly Value[],
  depth: number,
  scope: Scope,
  [predicate]: readonly Evaluate[],
): boolean {
  let fault: ExpressionFault | undefined
  for (const element of elements) {
    scope.bound[depth] = element
    try {
      if (asBoolean((predicate as Evaluate)(scope)) === deciding) return deciding
    } catch (error) {
      fault ??= scope.steps.passOver(error)
    }
  }
  if (fault !== undefined) throw fault
  return !deciding
}

function chosen(
  elements: readonly Value[],
  depth: number,
  scope: Scope,
  [predicate]: readonly Evaluate[],
  transform: Evaluate | undefined,
): Value[] {
  const found: Value[] = []
  for (const element of elements) {
    scope.bound[depth] = element
    if (asBoolean((predicate as Evaluate)(scope))) found.push(transform === undefined ? element : transform(scope))
  }
  return found
}

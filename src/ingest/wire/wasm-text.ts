/**
 * Assembles one function of WebAssembly, written in the text format's folded form, into a module that imports its memory: for inner
 * loops over bytes, which run several times faster so than JavaScript that checks every access. It knows the instructions that are
 * used here, numbers of 32 bits as parameters, locals and result, and nothing else.
 * Formats: https://webassembly.github.io/spec/core/text/index.html, https://webassembly.github.io/spec/core/binary/index.html
 */

type Expression = string | readonly Expression[]
type Immediate = 'none' | 'local' | 'label' | 'constant' | 'address'

const INSTRUCTIONS: Readonly<Record<string, readonly [immediate: Immediate, ...opcode: number[]]>> = {
  br: ['label', 0x0c],
  br_if: ['label', 0x0d],
  return: ['none', 0x0f],
  select: ['none', 0x1b],
  'local.get': ['local', 0x20],
  'local.set': ['local', 0x21],
  'i32.load': ['address', 0x28],
  'i64.load': ['address', 0x29],
  'i32.load8_u': ['address', 0x2d],
  'i32.load16_u': ['address', 0x2f],
  'i64.store': ['address', 0x37],
  'i32.store8': ['address', 0x3a],
  'i32.const': ['constant', 0x41],
  'i32.eqz': ['none', 0x45],
  'i32.eq': ['none', 0x46],
  'i32.lt_u': ['none', 0x49],
  'i32.gt_u': ['none', 0x4b],
  'i32.ge_u': ['none', 0x4f],
  'i32.add': ['none', 0x6a],
  'i32.sub': ['none', 0x6b],
  'i32.and': ['none', 0x71],
  'i32.or': ['none', 0x72],
  'i32.shl': ['none', 0x74],
  'i32.shr_u': ['none', 0x76],
  'memory.copy': ['none', 0xfc, 0x0a, 0, 0],
}
const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
const [BLOCK, LOOP, IF, ELSE, END] = [0x02, 0x03, 0x04, 0x05, 0x0b]
const [I32, FUNCTION, NO_RESULT] = [0x7f, 0x60, 0x40]

/** `(func $name (param $a i32) … (result i32) (local $b i32) … instructions)`, exported by its name; it imports `env.memory`. */
export function assemble(text: string): WebAssembly.Module {
  const [, name, ...parts] = parse(text) as readonly [string, string, ...(readonly Expression[])[]]
  const variables: string[] = []
  let parameters = 0
  const code: number[] = []
  for (const part of parts) {
    if (part[0] === 'param') parameters++
    if (part[0] === 'param' || part[0] === 'local') variables.push(part[1] as string)
    else if (part[0] !== 'result') emit(part, variables, [], code)
  }
  const locals = variables.length - parameters
  const body = [1, ...unsigned(locals), I32, ...code, END]
  return new WebAssembly.Module(
    Uint8Array.from([
      ...MAGIC_AND_VERSION,
      ...section(1, [FUNCTION, ...sized(Array.from({ length: parameters }, () => I32)), 1, I32]),
      ...section(2, [...textOf('env'), ...textOf('memory'), 2, 0, 0]),
      ...section(3, [0]),
      ...section(7, [...textOf(name.slice(1)), 0, 0]),
      ...section(10, sized(body)),
    ]),
  )
}

function parse(text: string): Expression {
  const open: Expression[][] = [[]]
  for (const [token] of text.replaceAll(/;;.*/g, '').matchAll(/[()]|[^\s()]+/g)) {
    if (token === '(') open.push([])
    else open.at(token === ')' ? -2 : -1)!.push(token === ')' ? open.pop()! : token)
  }
  return open[0]![0]!
}

/** `labels` are those of the constructs around it, the innermost last: branches count outwards. */
function emit(expression: Expression, variables: readonly string[], labels: readonly string[], code: number[]): void {
  const [name, ...operands] = expression as readonly [string, ...Expression[]]
  switch (name) {
    case 'block':
    case 'loop':
      code.push(name === 'block' ? BLOCK : LOOP, NO_RESULT)
      for (const inner of operands.slice(1)) emit(inner, variables, [...labels, operands[0] as string], code)
      code.push(END)
      return
    case 'if': {
      const [condition, then, otherwise] = operands as readonly (readonly Expression[])[]
      emit(condition!, variables, labels, code)
      code.push(IF, NO_RESULT)
      for (const inner of then!.slice(1)) emit(inner, variables, [...labels, ''], code)
      if (otherwise !== undefined) code.push(ELSE)
      for (const inner of otherwise?.slice(1) ?? []) emit(inner, variables, [...labels, ''], code)
      code.push(END)
      return
    }
    default: {
      const instruction = INSTRUCTIONS[name]
      if (instruction === undefined) throw new Error(`the assembler does not know ${name}`)
      const [immediate, ...opcode] = instruction
      for (const operand of operands) if (typeof operand !== 'string') emit(operand, variables, labels, code)
      code.push(...opcode, ...immediateOf(immediate, operands.filter((operand) => typeof operand === 'string')[0] ?? '', variables, labels))
    }
  }
}

function immediateOf(kind: Immediate, text: string, variables: readonly string[], labels: readonly string[]): number[] {
  switch (kind) {
    case 'none':
      return []
    case 'local':
      return unsigned(found(variables.indexOf(text), text))
    case 'label':
      return unsigned(labels.length - 1 - found(labels.lastIndexOf(text), text))
    case 'constant':
      return signed(Number(text))
    default:
      // Alignment, which is a hint, and an offset: `offset=8`.
      return [0, ...unsigned(Number(text.slice('offset='.length)))]
  }
}

function found(index: number, name: string): number {
  if (index < 0) throw new Error(`there is no ${name} here`)
  return index
}

function section(id: number, oneItem: readonly number[]): number[] {
  return [id, ...sized([1, ...oneItem])]
}

function textOf(name: string): number[] {
  return sized([...Buffer.from(name)])
}

function sized(bytes: readonly number[]): number[] {
  return [...unsigned(bytes.length), ...bytes]
}

/** https://webassembly.github.io/spec/core/binary/values.html#integers */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]
}

function signed(value: number): number[] {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)]
}

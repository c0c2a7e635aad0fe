/**
 * The table of series in a telemetry record. Series that have the same label names share a shape; each label is a column: a table of its
 * values, and which of them each series has. What is to be known of a series for writing it is kept for as long as the series lives,
 * because ingest uses the same objects again and again; a series that comes again is given back by the reader as the same object.
 */
import { ByteReader, type ByteWriter } from './codec-bytes.ts'
import { readCodes, readIndexes, writeCodes } from './codec-columns.ts'
import { NO_OWNER, RecentTables, type ReadMemory } from './codec-memory.ts'
import type { Series, SeriesType } from './model.ts'
import { seriesKey } from './series-key.ts'

const TYPES = ['unknown', 'counter', 'gauge', 'delta', 'sketch'] as const satisfies readonly SeriesType[]
/** Name, service and instance, which every series has, come before its labels. */
const FIXED = 3
/** Labels in one record: they may take no bytes, so that their number is bounded on its own. */
export const MAX_LABELS = 2 ** 22
/** Characters in the keys of one record's series: a long label that all of them have takes its bytes once. */
export const MAX_KEY_CHARS = 2 ** 26

/* ---- Writing */

/** A value in a column, and where it stands in the table of the record that is being written. */
interface Cell {
  readonly text: string
  record: number
  index: number
}

interface Column {
  readonly name: string
  readonly cells: Map<string, Cell>
  /** The rest is about one record: where the column stands, its values, and which of them each series has. */
  record: number
  index: number
  readonly table: Cell[]
  codes: Uint32Array
  rows: number
}

interface Shape {
  /** The fixed ones, then those of the labels. */
  readonly columns: readonly Column[]
  record: number
  index: number
}

interface Prepared {
  readonly shape: Shape
  readonly cells: readonly Cell[]
  readonly type: number
  /** Whether the key says nothing that name and labels do not say. */
  readonly derived: boolean
}

/** Values of labels known at the same time, and characters in them; beyond that they are collected anew. */
const MAX_CELLS = 2 ** 18
const MAX_CHARS = 2 ** 24

export class SeriesWriter {
  readonly #prepared = new WeakMap<Series, Prepared>()
  readonly #fixed: readonly Column[] = [newColumn(''), newColumn(''), newColumn('')]
  readonly #columns = new Map<string, Column>()
  readonly #shapes = new Map<string, Shape>()
  readonly #recent = new RecentTables<Series | undefined>()
  #cells = 0
  #chars = 0
  #record = 0

  write(writer: ByteWriter, series: readonly Series[]): void {
    const start = writer.length()
    const known = this.#recent.get(series[0])
    if (known !== undefined && areSame(known.series, series)) writer.bytes(known.bytes)
    else {
      this.#writeTable(writer, series)
      this.#recent.put(series[0], { series, bytes: writer.since(start) })
    }
    writer.measure(start)
  }

  #writeTable(writer: ByteWriter, series: readonly Series[]): void {
    const record = ++this.#record
    const shapes: Shape[] = []
    const labels: Column[] = []
    const shapeOf = new Uint32Array(series.length)
    const types = new Uint8Array(series.length)
    const given = new Uint8Array(series.length)
    for (const column of this.#fixed) use(column, record)
    for (let i = 0; i < series.length; i++) {
      const prepared = this.#prepared.get(series[i]!) ?? this.#prepare(series[i]!)
      const { shape, cells } = prepared
      if (shape.record !== record) {
        shape.record = record
        shape.index = shapes.push(shape) - 1
        for (let j = FIXED; j < shape.columns.length; j++) {
          const column = shape.columns[j]!
          if (column.record !== record) {
            use(column, record)
            column.index = labels.push(column) - 1
          }
        }
      }
      shapeOf[i] = shape.index
      types[i] = prepared.type
      if (!prepared.derived) given[i] = 1
      for (let j = 0; j < cells.length; j++) add(shape.columns[j]!, cells[j]!, record)
    }

    writer.varint(series.length)
    writer.varint(labels.length)
    for (const column of labels) writer.text(column.name)
    writer.varint(shapes.length)
    for (const { columns } of shapes) {
      writer.varint(columns.length - FIXED)
      for (let j = FIXED; j < columns.length; j++) writer.varint(columns[j]!.index)
    }
    writeCodes(writer, shapeOf, series.length)
    writeCodes(writer, types, series.length)
    writeCodes(writer, given, series.length)
    for (const column of this.#fixed) writeColumn(writer, column)
    for (const column of labels) writeColumn(writer, column)
    for (let i = 0; i < series.length; i++) if (given[i] === 1) writer.text(series[i]!.key)
  }

  #prepare(series: Series): Prepared {
    if (this.#cells > MAX_CELLS || this.#chars > MAX_CHARS) this.#forget()
    const columns = this.#fixed.slice()
    const values = [series.name, series.service, series.instance]
    for (const [name, value] of series.labels) {
      columns.push(this.#column(name))
      values.push(value)
    }
    const prepared = {
      shape: this.#shape(columns),
      cells: columns.map((column, i) => this.#cell(column, values[i]!)),
      type: TYPES.indexOf(series.type),
      derived: series.key === seriesKey(series.name, series.labels),
    }
    this.#prepared.set(series, prepared)
    return prepared
  }

  #column(name: string): Column {
    let column = this.#columns.get(name)
    if (column === undefined) this.#columns.set(name, (column = newColumn(name)))
    return column
  }

  #shape(columns: readonly Column[]): Shape {
    const names = JSON.stringify(columns.map((column) => column.name))
    let shape = this.#shapes.get(names)
    if (shape === undefined) {
      this.#shapes.set(names, (shape = { columns, record: 0, index: 0 }))
      this.#chars += names.length
    }
    return shape
  }

  #cell(column: Column, text: string): Cell {
    let cell = column.cells.get(text)
    if (cell === undefined) {
      column.cells.set(text, (cell = { text, record: 0, index: 0 }))
      this.#cells++
      this.#chars += text.length
    }
    return cell
  }

  /** Series that were prepared before keep their columns: a record of old and new ones has some columns twice, and is as good. */
  #forget(): void {
    for (const column of [...this.#fixed, ...this.#columns.values()]) column.cells.clear()
    this.#columns.clear()
    this.#shapes.clear()
    this.#cells = this.#chars = 0
  }
}

function areSame(some: readonly Series[], others: readonly Series[]): boolean {
  if (some.length !== others.length) return false
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false
  return true
}

function newColumn(name: string): Column {
  return { name, cells: new Map(), record: 0, index: 0, table: [], codes: new Uint32Array(8), rows: 0 }
}

function use(column: Column, record: number): void {
  column.record = record
  column.rows = 0
  column.table.length = 0
}

function add(column: Column, cell: Cell, record: number): void {
  if (cell.record !== record) {
    cell.record = record
    cell.index = column.table.push(cell) - 1
  }
  if (column.rows === column.codes.length) {
    const larger = new Uint32Array(column.rows * 4)
    larger.set(column.codes)
    column.codes = larger
  }
  column.codes[column.rows++] = cell.index
}

function writeColumn(writer: ByteWriter, column: Column): void {
  writer.varint(column.table.length)
  let before = ''
  for (const { text } of column.table) {
    writer.textAfter(text, before)
    before = text
  }
  writeCodes(writer, column.codes, column.rows)
  column.table.length = 0
}

/* ---- Reading */

/** A column as it is read: the numbers of its values in memory, and the values of the series that have it, in their order. */
interface ReadColumn {
  readonly owner: number
  rows: number
  table: Int32Array
  codes: Uint32Array
  at: number
}

export function readSeries(reader: ByteReader, memory: ReadMemory): readonly Series[] {
  const bytes = reader.bytes(reader.length())
  const known = memory.table(bytes)
  if (known !== undefined) return known
  const table = new ByteReader(bytes, 0)
  const series = readTable(table, memory)
  table.expectEnd()
  memory.keepTable(bytes, series)
  return series
}

function readTable(reader: ByteReader, memory: ReadMemory): Series[] {
  const count = reader.rows()
  const columns: ReadColumn[] = []
  for (let i = 0; i < FIXED; i++) columns.push(newReadColumn(NO_OWNER))
  for (let left = reader.count(); left > 0; left--) columns.push(newReadColumn(readId(reader, memory)))
  const shapes = readShapes(reader, columns.length)
  const shapeOf = readIndexes(reader, count, shapes.length)
  const types = readIndexes(reader, count, TYPES.length)
  const given = readIndexes(reader, count, 2)
  countRows(columns, shapes, shapeOf)
  for (const column of columns) readColumn(reader, column, memory)

  const series: Series[] = []
  let keyChars = 0
  const parts = new Int32Array(1 + shapes.reduce((most, shape) => Math.max(most, shape.length), 0))
  for (let i = 0; i < count; i++) {
    const shape = shapes[shapeOf[i]!]!
    parts[0] = types[i]!
    for (let j = 0; j < shape.length; j++) {
      const column = columns[shape[j]!]!
      parts[j + 1] = column.table[column.codes[column.at++]!]!
    }
    if (given[i] === 1) series.push(made(parts, shape.length, memory, reader.text()))
    else {
      let one = memory.find(parts, shape.length + 1)
      if (one === undefined) {
        one = made(parts, shape.length, memory)
        keyChars += one.key.length
        if (keyChars > MAX_KEY_CHARS) throw new RangeError(`the keys of its series are longer than ${MAX_KEY_CHARS} characters`)
        memory.keep(parts, shape.length + 1, one)
      }
      series.push(one)
    }
  }
  return series
}

function newReadColumn(owner: number): ReadColumn {
  return { owner, rows: 0, table: new Int32Array(0), codes: new Uint32Array(0), at: 0 }
}

function readId(reader: ByteReader, memory: ReadMemory): number {
  const bytes = reader.bytes(reader.varint())
  return memory.textId(NO_OWNER, bytes, 0, bytes.length)
}

/** The columns of each shape, the fixed ones first. */
function readShapes(reader: ByteReader, columns: number): Uint32Array[] {
  const shapes: Uint32Array[] = []
  for (let left = reader.count(); left > 0; left--) {
    const shape = new Uint32Array(FIXED + reader.count())
    for (let j = 0; j < shape.length; j++) {
      const column = j < FIXED ? j : FIXED + reader.varint()
      if (column >= columns) throw new RangeError(`a series has column ${column} of ${columns}`)
      shape[j] = column
    }
    shapes.push(shape)
  }
  return shapes
}

function countRows(columns: readonly ReadColumn[], shapes: readonly Uint32Array[], shapeOf: Uint32Array): void {
  const uses = new Uint32Array(shapes.length)
  for (let i = 0; i < shapeOf.length; i++) uses[shapeOf[i]!]!++
  let labels = 0
  for (let i = 0; i < shapes.length; i++) {
    const shape = shapes[i]!
    labels += uses[i]! * (shape.length - FIXED)
    for (let j = 0; j < shape.length; j++) columns[shape[j]!]!.rows += uses[i]!
  }
  if (labels > MAX_LABELS) throw new RangeError(`${labels} labels announced, ${MAX_LABELS} are the most`)
}

function readColumn(reader: ByteReader, column: ReadColumn, memory: ReadMemory): void {
  const table = new Int32Array(reader.count())
  reader.startTexts()
  for (let i = 0; i < table.length; i++) {
    reader.textAfter()
    table[i] = memory.textId(column.owner, reader.textBytes, reader.textAt, reader.textEnd)
  }
  column.table = table
  column.codes = new Uint32Array(column.rows)
  readCodes(reader, column.codes, table.length)
}

function made(parts: Int32Array, length: number, memory: ReadMemory, key?: string): Series {
  const labels: (readonly [string, string])[] = []
  for (let j = FIXED + 1; j <= length; j++) labels.push(memory.pair(parts[j]!))
  const name = memory.text(parts[1]!)
  return {
    key: key ?? seriesKey(name, labels),
    name,
    type: TYPES[parts[0]!]!,
    labels,
    service: memory.text(parts[2]!),
    instance: memory.text(parts[3]!),
  }
}

/** What the columns of batch files are read as: the files say so themselves. */
import { duckdbType, type LogicalType } from '@tapline/catalog';
import { protocolError, streamKey, type StreamDescriptor } from '@tapline/protocol';
import { plainForm, type PlainForm } from '@tapline/sdk/batch';
import { inParallel } from '../commit/in-parallel.js';
import { ContentError, type Engine, type Row } from './engine.js';
import { sqlString } from './value-sql.js';

/** One file, with what was announced of it. */
export interface BatchFile {
  /** Absolute. Changes when it is moved. */
  path: string;
  /** As it was announced; for messages. */
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly emittedAt: number;
}

/** Files that can be read in one go: their columns have the same names and types. */
export interface BatchGroup {
  readonly files: readonly BatchFile[];
  /** Rows before it. */
  readonly offset: number;
  /** A column each: DuckDB's type, or undefined for a nested one. */
  readonly types: readonly (string | undefined)[];
  /** What each file is, where all of them are plain. */
  readonly plain: readonly PlainForm[] | undefined;
}

export interface BatchFormsRequest {
  readonly engine: Engine;
  readonly stream: StreamDescriptor;
  readonly columns: readonly string[];
  /** In order. */
  readonly files: readonly BatchFile[];
}

interface FileForm {
  rows: number;
  readonly names: string[];
  readonly types: (string | undefined)[];
  readonly plain?: PlainForm;
}

/** Rejects with a protocol error that names stream and file where a file is not what was announced. */
export async function groupBatches(request: BatchFormsRequest): Promise<BatchGroup[]> {
  const { files } = request;
  const forms = await formsOf(request, files);
  const groups: { readonly files: BatchFile[]; readonly forms: FileForm[]; readonly offset: number; readonly signature: string }[] = [];
  let offset = 0;
  for (const file of files) {
    const form = forms.get(file.path)!;
    const { names, types, rows } = form;
    if (types.length !== request.columns.length) throw wrong(request, file, `has ${types.length} columns, but ${request.columns.length} were announced`);
    if (rows !== file.rows) throw wrong(request, file, `has ${rows} rows, but ${file.rows} were announced`);
    const signature = JSON.stringify([names, types]);
    const last = groups.at(-1);
    if (last?.signature === signature) {
      last.files.push(file);
      last.forms.push(form);
    } else groups.push({ files: [file], forms: [form], offset, signature });
    offset += rows;
  }
  return groups.map(({ files: some, forms: theirs, offset: before }) => {
    const plain = theirs.flatMap((form) => form.plain ?? []);
    return { files: some, offset: before, types: theirs[0]!.types, plain: plain.length === some.length ? plain : undefined };
  });
}

/** Files that are open for their ends at a time. */
const looksAtOnce = 8;

/** Plain ones tell it without the engine, which may not be needed at all then. */
async function formsOf(request: BatchFormsRequest, files: readonly BatchFile[]): Promise<Map<string, FileForm>> {
  const forms = new Map<string, FileForm>();
  await inParallel(files, looksAtOnce, async ({ path }) => {
    const plain = await plainForm(path);
    if (plain) forms.set(path, { rows: plain.rows, names: plain.columns.map(({ name }) => name), types: plain.columns.map(({ type }) => readAs(type)), plain });
  });
  const others = files.filter(({ path }) => !forms.has(path));
  if (others.length > 0) for (const [path, form] of await foreignForms(request, others)) forms.set(path, form);
  return forms;
}

/** As the engine calls it. */
function readAs(type: LogicalType): string {
  const wanted = duckdbType(type);
  return wanted === 'TIMESTAMPTZ' ? 'TIMESTAMP WITH TIME ZONE' : wanted;
}

/** All at once; one by one where that fails, to find out which file is at fault. */
async function foreignForms(request: BatchFormsRequest, files: readonly BatchFile[]): Promise<Map<string, FileForm>> {
  try {
    return await readForms(request.engine, files);
  } catch (error) {
    if (!(error instanceof ContentError)) throw error;
    if (files.length === 1) throw wrong(request, files[0]!, 'is no Parquet file that can be read', error);
    const forms = new Map<string, FileForm>();
    for (const file of files) for (const [path, form] of await foreignForms(request, [file])) forms.set(path, form);
    return forms;
  }
}

async function readForms(engine: Engine, files: readonly BatchFile[]): Promise<Map<string, FileForm>> {
  const list = `[${files.map(({ path }) => sqlString(path)).join(', ')}]`;
  const schema = await engine.run(`SELECT file_name AS file, name, duckdb_type AS type, coalesce(num_children, 0) AS children FROM parquet_schema(${list})`, 0);
  const forms = new Map(files.map(({ path }): [string, FileForm] => [path, { rows: 0, names: [], types: [] }]));
  for (const { path } of files) addColumns(forms.get(path)!, schema.filter(({ file }) => file === path));
  for (const { file, rows } of await engine.run(`SELECT file_name AS file, num_rows AS rows FROM parquet_file_metadata(${list})`, 0)) forms.get(String(file))!.rows = Number(rows);
  return forms;
}

/** Elements of the schema in depth-first order, the root first: a column is a child of the root. */
function addColumns({ names, types }: FileForm, elements: readonly Row[]): void {
  let at = 1;
  const skip = (): void => {
    for (let left = Number(elements[at++]?.['children'] ?? 0); left > 0; left--) skip();
  };
  for (let left = Number(elements[0]?.['children'] ?? 0); left > 0; left--) {
    const { name, type, children } = elements[at]!;
    names.push(String(name));
    types.push(Number(children) > 0 || type === null ? undefined : type as string);
    skip();
  }
}

const wrong = ({ stream }: BatchFormsRequest, { name }: BatchFile, what: string, cause?: unknown): Error =>
  protocolError(`stream ${streamKey(stream)}: the batch file ${name} ${what}`, { stream, cause });

/** A column of this type is a value of the logical type as it is. */
export const isNative = (type: LogicalType, form: string | undefined): boolean => form === readAs(type);
